with

customers as (

    select * from {{ ref('stg_gp__customers') }}
    where customer_number is not null

),

addresses as (

    select * from {{ ref('stg_gp__customer_addresses') }}

),

internet_addresses as (

    select * from {{ ref('stg_gp__internet_addresses') }}
    where master_type = 'CUS'

),

payment_terms as (

    {{ xref_codes('xref_payment_terms') }}

),

shipping_methods as (

    {{ xref_codes('xref_shipping_method') }}

),

numbered as (

    select
        customers.*,
        row_number() over (
            partition by {{ folded('customers.customer_number') }}
            order by {{ company_rank('customers') }} customers.customer_number
        ) as repeat_number

    from customers

),

final as (

    select
        ---------- keys
        cast(numbered.customer_number as varchar(20)) as accountnumber,

        ---------- text
        cast(coalesce(numbered.customer_name, numbered.customer_number) as varchar(160)) as name,
        cast(3 as int) as customertypecode,
        cast({{ phone_from_gp('numbered.phone1') }} as varchar(50)) as telephone1,
        cast({{ phone_from_gp('numbered.phone2') }} as varchar(50)) as telephone2,
        cast({{ phone_from_gp('numbered.fax') }} as varchar(50)) as fax,
        cast(coalesce(internet_addresses.email_to, internet_addresses.internet1) as varchar(8000)) as emailaddress1,
        cast(internet_addresses.internet2 as varchar(201)) as websiteurl,

        {%- for number, address in [(1, 'bill_to'), (2, 'ship_to')] %}

        ---------- {{ address | replace('_', '-') }}
        cast({{ address }}.address_code as varchar(200)) as address{{ number }}_name,
        cast({{ address }}.line1 as varchar(250)) as address{{ number }}_line1,
        cast({{ address }}.line2 as varchar(250)) as address{{ number }}_line2,
        cast({{ address }}.line3 as varchar(250)) as address{{ number }}_line3,
        cast({{ address }}.city as varchar(80)) as address{{ number }}_city,
        cast({{ address }}.state as varchar(50)) as address{{ number }}_stateorprovince,
        cast({{ address }}.postal_code as varchar(20)) as address{{ number }}_postalcode,
        cast({{ address }}.country as varchar(80)) as address{{ number }}_country,
        cast({{ phone_from_gp(address ~ '.phone') }} as varchar(50)) as address{{ number }}_telephone1,
        cast({{ phone_from_gp(address ~ '.fax') }} as varchar(50)) as address{{ number }}_fax,
        {%- endfor %}

        ---------- terms
        cast(case
            when numbered.credit_limit_type = 0 then 0
            when numbered.credit_limit_type = 2 then numbered.credit_limit
        end as decimal(19, 5)) as creditlimit,
        cast(case when numbered.on_hold = 0 then 0 else 1 end as smallint) as creditonhold,
        cast(payment_terms.crm_value as int) as paymenttermscode,
        cast(numbered.payment_terms as varchar(31)) as paymenttermscode__gp,
        cast(shipping_methods.crm_value as int) as address1_shippingmethodcode,
        cast(numbered.shipping_method as varchar(31)) as address1_shippingmethodcode__gp,

        ---------- people and parents
        cast(case
            when numbered.parent_key <> numbered.customer_key then numbered.parent_number
        end as varchar(20)) as parentaccountid,
        cast(numbered.salesperson as varchar(100)) as ownerid,

        ---------- status
        cast(case when numbered.inactive = 0 then 0 else 1 end as int) as statecode,
        cast(case when numbered.inactive = 0 then 0 else 1 end as smallint) as statecode__gp_inactive,
        cast(case when numbered.inactive = 0 then 1 else 2 end as int) as statuscode

    from numbered
    left join addresses as bill_to
        on
            numbered.company = bill_to.company
            and numbered.customer_key = bill_to.customer_key
            and numbered.bill_to_address_key = bill_to.address_key
    left join addresses as ship_to
        on
            numbered.company = ship_to.company
            and numbered.customer_key = ship_to.customer_key
            and numbered.ship_to_address_key = ship_to.address_key
    left join internet_addresses
        on
            numbered.company = internet_addresses.company
            and numbered.customer_key = internet_addresses.master_key
            and numbered.address_key = internet_addresses.address_key
    left join payment_terms on numbered.payment_terms_key = payment_terms.code_key
    left join shipping_methods on numbered.shipping_method_key = shipping_methods.code_key
    where numbered.repeat_number = 1

)

select * from final
