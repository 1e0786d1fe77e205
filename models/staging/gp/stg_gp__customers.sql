with

source as (

    {{ gp_rows('RM00101') }}

),

renamed as (

    select
        ---------- keys
        company,
        {{ gp_text('CUSTNMBR') }} as customer_number,
        {{ gp_key('CUSTNMBR') }} as customer_key,
        {{ gp_text('CPRCSTNM') }} as parent_number,
        {{ gp_key("coalesce(CPRCSTNM, '')") }} as parent_key,
        {{ gp_key("coalesce(ADRSCODE, '')") }} as address_key,
        {{ gp_key("coalesce(PRBTADCD, '')") }} as bill_to_address_key,
        {{ gp_key("coalesce(PRSTADCD, '')") }} as ship_to_address_key,

        ---------- text
        {{ gp_text('CUSTNAME') }} as customer_name,
        {{ gp_text('SLPRSNID') }} as salesperson,
        {{ gp_text('PYMTRMID') }} as payment_terms,
        {{ folded(gp_text('PYMTRMID')) }} as payment_terms_key,
        {{ gp_text('SHIPMTHD') }} as shipping_method,
        {{ folded(gp_text('SHIPMTHD')) }} as shipping_method_key,
        {{ gp_text('PHONE1') }} as phone1,
        {{ gp_text('PHONE2') }} as phone2,
        {{ gp_text('FAX') }} as fax,

        ---------- status
        {{ gp_number('INACTIVE') }} as inactive,
        {{ gp_number('HOLD') }} as on_hold,

        ---------- credit
        {{ gp_number('CRLMTTYP') }} as credit_limit_type,
        {{ gp_number('CRLMTAMT') }} as credit_limit

    from source

)

select * from renamed
