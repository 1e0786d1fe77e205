with

source as (

    select * from {{ source('gp', 'SOP30200') }}{{ gp_nolock() }}

),

renamed as (

    select
        ---------- keys
        SOPTYPE as document_type,
        {{ gp_id('SOPNUMBE') }} as document_number,
        {{ gp_id('CUSTNMBR') }} as customer_number,

        ---------- status
        VOIDSTTS as void_status,

        ---------- amounts, functional currency
        DOCAMNT as document_amount

    from source

)

select * from renamed
