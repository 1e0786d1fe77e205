with

source as (

    {{ gp_rows('SOP30200') }}

),

renamed as (

    select
        {#- The type is bare, as the document's key is: together they are GP's index. #}
        {{ gp_sales_header_columns('SOPTYPE') }}

    from source

)

select * from renamed
