with

orders as (

    select * from {{ ref('stg_gp__sales_orders') }}
    where document_type = 2

),

scoped as (

    select * from {{ ref('int_sales_orders_scoped') }}
    where scope_reason = 'open'

),

final as (

    select *
    from orders
    where exists (
        select 1
        from scoped
        where scoped.company = orders.company and scoped.document_key = orders.document_key
    )

)

select * from final
