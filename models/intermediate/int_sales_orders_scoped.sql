with

orders as (

    select * from {{ ref('stg_gp__sales_orders') }}
    where document_type = 2

),

history as (

    select
        company,
        {{ gp_key('document_number') }} as document_key

    from {{ ref('stg_gp__sales_order_history') }}
    where document_type = 2
    group by company, {{ gp_key('document_number') }}

),

lines as (

    select
        company,
        {{ gp_key('document_number') }} as document_key,
        max(case
            when quantity - quantity_cancelled - quantity_invoiced - quantity_reordered - quantity_back_ordered <> 0
                then 1
            else 0
        end) as is_any_left,
        max(case
            when quantity_invoiced <> 0 or quantity_reordered <> 0 or quantity_back_ordered <> 0
                then 1
            else 0
        end) as is_any_transferred

    from {{ ref('stg_gp__sales_order_lines') }}
    where document_type = 2 and component_sequence = 0
    group by company, {{ gp_key('document_number') }}

),

scoped as (

    select
        orders.*,
        case
            when orders.void_status <> 0 then 'voided'
            when {{ gp_text('orders.document_number') }} is null then 'stub'
            when {{ gp_text('orders.customer_number') }} is null then 'stub'
            when history.document_key is not null then 'history'
            when lines.document_key is null then 'open'
            {%- if transferred() == 'partly' %}
            when lines.is_any_transferred = 1 then 'transferred'
            {%- endif %}
            when lines.is_any_left = 1 then 'open'
            when lines.is_any_transferred = 1 then 'transferred'
            else 'cancelled'
        end as scope_reason

    from orders
    left join history
        on
            {{ gp_key('orders.document_number') }} = history.document_key
            and {{ same_company('orders', 'history') }}
    left join lines
        on
            {{ gp_key('orders.document_number') }} = lines.document_key
            and {{ same_company('orders', 'lines') }}

)

select * from scoped
