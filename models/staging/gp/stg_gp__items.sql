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
        {{ gp_text('UOMSCHDL') }} as unit_schedule,
        {{ gp_key("coalesce(UOMSCHDL, '')") }} as unit_schedule_key,

        ---------- text
        {{ gp_text('ITEMDESC') }} as item_description,
        {{ gp_text('SELNGUOM') }} as selling_unit,

        ---------- kind and status
        {{ gp_number('ITEMTYPE') }} as item_type,
        {{ gp_number('INACTIVE') }} as inactive,
        {{ gp_number('DECPLQTY') }} as quantity_decimals,

        ---------- weight
        {{ gp_number('ITEMSHWT') }} as shipping_weight

    from source

)

select * from renamed
