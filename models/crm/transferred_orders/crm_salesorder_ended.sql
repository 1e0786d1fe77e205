{%- set state, status = (4, 100003) if transferred_as() == 'invoiced' else (3, 100001) -%}

with

orders as (

    select * from {{ ref('int_sales_orders_ended') }}

),

final as (

    {% call sales_header_mapping('orders') %}
        ---------- keys
        cast(orders.document_name as varchar(300)) as name,
        cast(orders.document_name as varchar(100)) as ordernumber,
        orders.document_key as name__gp,

        ---------- dates, UTC
        {{ gp_local_to_utc('orders.document_date') }} as datedelivered,
        {{ gp_local_to_utc('orders.invoice_date') }} as datefulfilled,
        {{ gp_local_to_utc('orders.requested_ship_date', days=delivery_days()) }} as requestdeliveryby,

        ---------- status
        cast(case when orders.end_reason = 'transferred' then {{ state }} else 2 end as int) as statecode,
        cast(case when orders.end_reason = 'transferred' then {{ status }} else 4 end as int) as statuscode,
        cast(orders.end_reason as varchar(20)) as statuscode__end,
    {% endcall %}

)

select * from final
