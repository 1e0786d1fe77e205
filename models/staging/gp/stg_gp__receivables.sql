with

source as (

    {{ gp_rows('RM20101') }}

),

renamed as (

    select
        {{ gp_receivable_columns() }}

    from source

)

select * from renamed
