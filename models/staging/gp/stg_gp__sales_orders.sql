with

source as (

    {{ gp_rows('SOP10100') }}

),

renamed as (

    select
        {{ gp_sales_header_columns(gp_number('SOPTYPE')) }}

    from source

)

select * from renamed
