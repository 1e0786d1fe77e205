with

source as (

    {{ gp_rows('IV00101') }}

),

renamed as (

    select
        ---------- keys
        company,
        {{ gp_id('ITEMNMBR') }} as item_number,

        ---------- text
        {{ gp_text('UOMSCHDL') }} as unit_schedule

    from source

)

select * from renamed
