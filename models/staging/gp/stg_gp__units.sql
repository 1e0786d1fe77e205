with

source as (

    {{ gp_rows('IV40202') }}

),

renamed as (

    select
        ---------- keys
        company,
        {{ gp_text('UOMSCHDL') }} as schedule_name,
        {{ gp_key('UOMSCHDL') }} as schedule_key,
        {{ gp_text('UOFM') }} as unit,
        {{ gp_key("coalesce(UOFM, '')") }} as unit_key,
        {{ gp_key("coalesce(EQUIVUOM, '')") }} as equivalent_unit_key,
        {{ gp_number('SEQNUMBR') }} as sequence_number,

        ---------- quantities
        {{ gp_number('EQUOMQTY') }} as equivalent_quantity,
        {{ gp_number('QTYBSUOM') }} as base_quantity

    from source

)

select * from renamed
