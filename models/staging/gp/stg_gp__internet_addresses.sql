with

source as (

    {{ gp_rows('SY01200') }}

),

renamed as (

    select
        ---------- keys
        company,
        {{ gp_text('Master_Type') }} as master_type,
        {{ gp_text('Master_ID') }} as master_number,
        {{ gp_key('Master_ID') }} as master_key,
        {{ gp_key("coalesce(ADRSCODE, '')") }} as address_key,

        ---------- text
        {{ gp_long_text('EmailToAddress') }} as email_to,
        {{ gp_text('INET1') }} as internet1,
        {{ gp_text('INET2') }} as internet2

    from source

)

select * from renamed
