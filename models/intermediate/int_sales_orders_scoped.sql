with

orders as (

    select * from {{ ref('stg_gp__sales_orders') }}
    where document_type = 2

),

lines as (

    select
        company,
        document_key,
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
    group by company, document_key

),

scoped as (

    select
        orders.company,
        orders.document_key,
        case
            when orders.void_status <> 0 then 'voided'
            when orders.document_number is null then 'stub'
            when orders.customer_number is null then 'stub'
            when exists (
                select 1
                from {{ ref('stg_gp__sales_order_history') }} as history
                where
                    history.document_type = 2
                    and history.company = orders.company
                    and history.document_key = orders.document_key
            ) then 'history'
            when lines.document_key is null then 'open'
            {%- if transferred() == 'partly' %}
            when lines.is_any_transferred = 1 then 'transferred'
            {%- endif %}
            when lines.is_any_left = 1 then 'open'
            when lines.is_any_transferred = 1 then 'transferred'
            else 'cancelled'
        end as scope_reason

    from orders
    left join lines on orders.company = lines.company and orders.document_key = lines.document_key

)

select * from scoped
