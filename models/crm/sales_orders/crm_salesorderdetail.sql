with

orders as (

    select * from {{ ref('int_sales_orders_open') }}

),

lines as (

    select * from {{ ref('stg_gp__sales_order_lines') }}

),

order_lines as (

    {{ sales_lines_of('orders', 'lines') }}

),

final as (

    {% call sales_line_mapping('order_lines') %}
        ---------- keys
        cast(order_lines.document_name as varchar(300)) as salesorderid,
        cast(order_lines.line_sequence as int) as lineitemnumber,

        ---------- dates, UTC
        {{ gp_local_to_utc('order_lines.requested_ship_date', days=1) }} as requestdeliveryby,
    {% endcall %}

)

select * from final
