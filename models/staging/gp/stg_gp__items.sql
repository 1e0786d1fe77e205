with

source as (

    {{ gp_rows('IV00101') }}

),

renamed as (

    select
        ---------- keys
        company,
        {{ gp_text('ITEMNMBR') }} as item_number,
        {{ gp_key('ITEMNMBR') }} as item_key,

        ---------- text
        {{ gp_text('UOMSCHDL') }} as unit_schedule

    from source

)

select * from renamed
