with

orders as (

    select * from {{ ref('int_sales_orders_open') }}

),

lines as (

    select * from {{ ref('stg_gp__sales_order_lines') }}

),

numbered as (

    {{ sales_lines_of('orders', 'lines') }}

),

final as (

    {% call sales_line_mapping('numbered') %}
        ---------- keys
        cast(numbered.document_name as varchar(300)) as salesorderid,
        cast(numbered.line_sequence as int) as lineitemnumber,

        ---------- dates, UTC
        {{ gp_local_to_utc('numbered.requested_ship_date', days=delivery_days()) }} as requestdeliveryby,
    {% endcall %}

)

select * from final
