{% macro sales_header_mapping(documents) -%}
    {%- set discount = 'trade_discount_amount' if amounts() == 'reconciled' else 'terms_discount_amount' -%}
    select
        {{ caller() | trim }}

        ---------- customer
        cast({{ documents }}.customer_number as varchar(20)) as customerid,
        cast({{ documents }}.customer_name as varchar(2000)) as description,

        ---------- bill-to
        cast(addresses.address_code as varchar(200)) as billto_name,
        cast(addresses.line1 as varchar(250)) as billto_line1,
        cast(addresses.line2 as varchar(250)) as billto_line2,
        cast(addresses.line3 as varchar(250)) as billto_line3,
        cast(addresses.city as varchar(80)) as billto_city,
        cast(addresses.state as varchar(50)) as billto_stateorprovince,
        cast(addresses.postal_code as varchar(20)) as billto_postalcode,
        cast(addresses.country as varchar(80)) as billto_country,
        cast({{ phone_from_gp('addresses.phone') }} as varchar(50)) as billto_telephone,
        cast({{ phone_from_gp('addresses.fax') }} as varchar(50)) as billto_fax,

        ---------- ship-to
        {{ ship_to_mapping(documents) }},

        ---------- terms
        cast({{ documents }}.price_level as varchar(100)) as pricelevelid,
        cast(shipping_methods.crm_value as int) as shippingmethodcode,
        cast({{ documents }}.shipping_method as varchar(31)) as shippingmethodcode__gp,
        cast(payment_terms.crm_value as int) as paymenttermscode,
        cast({{ documents }}.payment_terms as varchar(31)) as paymenttermscode__gp,

        ---------- amounts
        cast({{ documents }}.{{ discount }} as decimal(19, 5)) as discountamount,
        cast({{ documents }}.freight_amount as decimal(19, 5)) as freightamount,
        cast({{ documents }}.subtotal as decimal(19, 5)) as totallineitemamount,
        cast({{ documents }}.tax_amount as decimal(19, 5)) as totaltax,
        cast({{ documents }}.document_amount as decimal(19, 5)) as totalamount

    from {{ documents }}
    left join {{ ref('stg_gp__customer_addresses') }} as addresses
        on
            {{ documents }}.company = addresses.company
            and {{ documents }}.customer_key = addresses.customer_key
            and {{ documents }}.bill_to_address_key = addresses.address_key
    left join (
        {{ xref_codes('xref_payment_terms') | indent(8) }}
    ) as payment_terms on {{ documents }}.payment_terms_key = payment_terms.code_key
    left join (
        {{ xref_codes('xref_shipping_method') | indent(8) }}
    ) as shipping_methods on {{ documents }}.shipping_method_key = shipping_methods.code_key
{%- endmacro %}
