with

source as (

    {{ gp_rows('RM00102') }}

),

renamed as (

    select
        ---------- keys
        company,
        {{ gp_text('CUSTNMBR') }} as customer_number,
        {{ gp_key('CUSTNMBR') }} as customer_key,
        {{ gp_text('ADRSCODE') }} as address_code,
        {{ gp_key("coalesce(ADRSCODE, '')") }} as address_key,

        ---------- text
        {{ gp_text('ADDRESS1') }} as line1,
        {{ gp_text('ADDRESS2') }} as line2,
        {{ gp_text('ADDRESS3') }} as line3,
        {{ gp_text('CITY') }} as city,
        {{ gp_text('STATE') }} as state,
        {{ gp_text('ZIP') }} as postal_code,
        {{ gp_text('COUNTRY') }} as country,
        {{ gp_text('PHONE1') }} as phone,
        {{ gp_text('FAX') }} as fax

    from source

)

select * from renamed
