{%- set discount = 'trade_discount_amount' if amounts() == 'reconciled' else 'terms_discount_amount' -%}

with

orders as (

    select * from {{ ref('int_sales_orders_open') }}

),

addresses as (

    select * from {{ ref('stg_gp__customer_addresses') }}

),

order_status as (

    select
        gp_code,
        min(statecode) as statecode,
        min(statuscode) as statuscode

    from {{ ref('xref_order_status') }}
    group by gp_code

),

payment_terms as (

    {{ xref_codes('xref_payment_terms') }}

),

shipping_methods as (

    {{ xref_codes('xref_shipping_method') }}

),

final as (

    select
        ---------- keys
        cast(orders.document_name as varchar(300)) as name,
        cast(orders.document_name as varchar(100)) as ordernumber,
        cast(orders.customer_number as varchar(20)) as customerid,

        ---------- text
        cast(orders.customer_name as varchar(2000)) as description,

        ---------- dates, UTC
        {{ gp_local_to_utc('orders.document_date') }} as datedelivered,
        {{ gp_local_to_utc('orders.invoice_date') }} as datefulfilled,
        {{ gp_local_to_utc('orders.requested_ship_date', days=1) }} as requestdeliveryby,

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
        cast(orders.shipping_method as varchar(200)) as shipto_name,
        cast(orders.ship_to_line1 as varchar(250)) as shipto_line1,
        cast(orders.ship_to_line2 as varchar(250)) as shipto_line2,
        cast(orders.ship_to_line3 as varchar(250)) as shipto_line3,
        cast(orders.ship_to_city as varchar(80)) as shipto_city,
        cast(orders.ship_to_state as varchar(50)) as shipto_stateorprovince,
        cast(orders.ship_to_postal_code as varchar(20)) as shipto_postalcode,
        cast(orders.ship_to_country as varchar(80)) as shipto_country,
        cast({{ phone_from_gp('orders.ship_to_phone') }} as varchar(50)) as shipto_telephone,
        cast({{ phone_from_gp('orders.ship_to_fax') }} as varchar(50)) as shipto_fax,

        ---------- terms
        cast(orders.price_level as varchar(100)) as pricelevelid,
        cast(shipping_methods.crm_value as int) as shippingmethodcode,
        cast(orders.shipping_method as varchar(31)) as shippingmethodcode__gp,
        cast(payment_terms.crm_value as int) as paymenttermscode,
        cast(orders.payment_terms as varchar(31)) as paymenttermscode__gp,

        ---------- amounts
        cast(orders.{{ discount }} as decimal(19, 5)) as discountamount,
        cast(orders.freight_amount as decimal(19, 5)) as freightamount,
        cast(orders.subtotal as decimal(19, 5)) as totallineitemamount,
        cast(orders.tax_amount as decimal(19, 5)) as totaltax,
        cast(orders.document_amount as decimal(19, 5)) as totalamount,

        ---------- status
        cast(order_status.statecode as int) as statecode,
        cast(order_status.statuscode as int) as statuscode,
        cast(orders.order_status as int) as statuscode__gp

    from orders
    left join addresses
        on
            orders.company = addresses.company
            and orders.customer_key = addresses.customer_key
            and orders.bill_to_address_key = addresses.address_key
    left join order_status on orders.order_status = order_status.gp_code
    left join payment_terms on orders.payment_terms_key = payment_terms.code_key
    left join shipping_methods on orders.shipping_method_key = shipping_methods.code_key

)

select * from final
