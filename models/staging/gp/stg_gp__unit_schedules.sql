with

source as (

    {{ gp_rows('IV40201') }}

),

renamed as (

    select
        ---------- keys
        company,
        {{ gp_text('UOMSCHDL') }} as schedule_name,
        {{ gp_key('UOMSCHDL') }} as schedule_key,
        {{ gp_text('BASEUOFM') }} as base_unit,
        {{ gp_key("coalesce(BASEUOFM, '')") }} as base_unit_key,

        ---------- text
        {{ gp_text('UMSCHDSC') }} as description

    from source

)

select * from renamed
