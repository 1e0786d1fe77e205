with

source as (

    {{ gp_rows('SOP30300') }}

),

renamed as (

    select
        {{ gp_sales_line_columns() }}

    from source

)

select * from renamed
