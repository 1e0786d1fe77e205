with

left_in_work as (

    select * from {{ ref('int_sales_orders_scoped') }}
    where scope_reason in ('voided', 'transferred', 'cancelled')

),

work as (

    select
        orders.*,
        0 as is_history,
        left_in_work.scope_reason as end_reason

    from {{ ref('stg_gp__sales_orders') }} as orders
    inner join left_in_work
        on
            orders.company = left_in_work.company
            and orders.document_key = left_in_work.document_key
    where
        orders.document_type = 2
        and orders.document_number is not null
        and not exists (
            select 1
            from {{ ref('stg_gp__sales_order_lines') }} as lines
            where
                left_in_work.scope_reason = 'transferred'
                and lines.company = orders.company
                and lines.document_type = orders.document_type
                and lines.document_key = orders.document_key
                and lines.component_sequence = 0
                and lines.quantity - lines.quantity_cancelled - lines.quantity_invoiced - lines.quantity_reordered
                - lines.quantity_back_ordered <> 0
        )

),

history as (

    select
        orders.*,
        1 as is_history,
        case
            when orders.void_status <> 0 then 'voided'
            when
                exists (
                    select 1
                    from {{ ref('stg_gp__sales_line_history') }} as lines
                    where
                        lines.company = orders.company
                        and lines.document_type = orders.document_type
                        and lines.document_key = orders.document_key
                        and lines.component_sequence = 0
                )
                and not exists (
                    select 1
                    from {{ ref('stg_gp__sales_line_history') }} as lines
                    where
                        lines.company = orders.company
                        and lines.document_type = orders.document_type
                        and lines.document_key = orders.document_key
                        and lines.component_sequence = 0
                        and lines.quantity - lines.quantity_cancelled <> 0
                )
                then 'cancelled'
            else 'transferred'
        end as end_reason

    from {{ ref('stg_gp__sales_order_history') }} as orders
    where orders.document_type = 2 and orders.document_number is not null

),

final as (

    select * from work
    union all
    select * from history

)

select * from final
