with

source as (

    {{ gp_rows('SOP10200') }}

),

renamed as (

    select
        {{ gp_sales_line_columns() }}

    from source

)

select * from renamed
