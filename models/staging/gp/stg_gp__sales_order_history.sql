with

source as (

    {{ gp_rows('SOP30200') }}

),

renamed as (

    select
        ---------- keys
        company,
        {{ gp_number('SOPTYPE') }} as document_type,
        {{ gp_id('SOPNUMBE') }} as document_number,
        {{ gp_id('CUSTNMBR') }} as customer_number,

        ---------- status
        {{ gp_number('VOIDSTTS') }} as void_status,

        ---------- amounts, functional currency
        {{ gp_number('DOCAMNT') }} as document_amount

    from source

)

select * from renamed
