with

source as (

    {{ gp_rows('RM30101') }}

),

renamed as (

    select
        {{ gp_receivable_columns() }}

    from source

)

select * from renamed
