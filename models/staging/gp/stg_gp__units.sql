with

source as (

    {{ gp_rows('IV40202') }}

),

renamed as (

    select
        ---------- keys
        company,
        {{ gp_id('UOMSCHDL') }} as schedule_name,
        {{ gp_code('UOFM') }} as unit,
        {{ gp_code('EQUIVUOM') }} as equivalent_unit,
        {{ gp_number('SEQNUMBR') }} as sequence_number,

        ---------- quantities
        {{ gp_number('EQUOMQTY') }} as equivalent_quantity,
        {{ gp_number('QTYBSUOM') }} as base_quantity

    from source

)

select * from renamed
