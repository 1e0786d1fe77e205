with

work as (

    select * from {{ ref('int_sales_orders_ended') }}
    where is_history = 0

),

work_lines as (

    select * from {{ ref('stg_gp__sales_order_lines') }}

),

history as (

    select * from {{ ref('int_sales_orders_ended') }}
    where is_history = 1

),

history_lines as (

    select * from {{ ref('stg_gp__sales_line_history') }}

),

order_lines as (

    {{ sales_lines_of('work', 'work_lines') }}

    union all

    {{ sales_lines_of('history', 'history_lines') }}

),

final as (

    {% call sales_line_mapping('order_lines') %}
        ---------- keys
        cast(order_lines.document_name as varchar(300)) as salesorderid,
        order_lines.document_key as name__gp,
        cast(order_lines.line_sequence as int) as lineitemnumber,

        ---------- dates, UTC
        {{ gp_local_to_utc('order_lines.requested_ship_date', days=delivery_days()) }} as requestdeliveryby,
    {% endcall %}

)

select * from final
