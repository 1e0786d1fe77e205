with

source as (

    {{ gp_rows('IV40201') }}

),

renamed as (

    select
        ---------- keys
        company,
        {{ gp_id('UOMSCHDL') }} as schedule_name,
        {{ gp_code('BASEUOFM') }} as base_unit,

        ---------- text
        {{ gp_text('UMSCHDSC') }} as description

    from source

)

select * from renamed
