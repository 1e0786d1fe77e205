with

order_status as (

    select
        gp_code,
        min(statecode) as statecode,
        min(statuscode) as statuscode

    from {{ ref('xref_order_status') }}
    group by gp_code

),

orders as (

    select
        documents.*,
        order_status.statecode,
        order_status.statuscode

    from {{ ref('int_sales_orders_open') }} as documents
    left join order_status on documents.order_status = order_status.gp_code

),

final as (

    {% call sales_header_mapping('orders') %}
        ---------- keys
        cast(orders.document_name as varchar(300)) as name,
        cast(orders.document_name as varchar(100)) as ordernumber,

        ---------- dates, UTC
        {{ gp_local_to_utc('orders.document_date') }} as datedelivered,
        {{ gp_local_to_utc('orders.invoice_date') }} as datefulfilled,
        {{ gp_local_to_utc('orders.requested_ship_date', days=delivery_days()) }} as requestdeliveryby,

        ---------- status
        cast(orders.statecode as int) as statecode,
        cast(orders.statuscode as int) as statuscode,
        cast(orders.order_status as int) as statuscode__gp,
    {% endcall %}

)

select * from final
