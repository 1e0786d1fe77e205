with

invoices as (

    select * from {{ ref('stg_gp__sales_order_history') }}
    where document_type = 3 and document_number is not null and document_day >= {{ invoices_since() }}

),

chains as (

    select distinct company, master_number
    from invoices
    where (original_type <> 2 or original_name is null) and master_number <> 0

),

orders as (

    select company, master_number, document_key, document_name
    from {{ ref('stg_gp__sales_orders') }}
    where document_type = 2 and master_number <> 0

    union all

    select company, master_number, document_key, document_name
    from {{ ref('stg_gp__sales_order_history') }}
    where document_type = 2 and master_number <> 0

),

orders_of_chains as (

    select
        orders.company,
        orders.master_number,
        min(orders.document_name) as order_name

    from orders
    inner join chains
        on
            orders.company = chains.company
            and orders.master_number = chains.master_number
    group by orders.company, orders.master_number
    having count(distinct orders.document_key) = 1

),

receivables as (

    select * from {{ ref('stg_gp__receivables') }}
    where document_type = 1

),

receivable_history as (

    select * from {{ ref('stg_gp__receivable_history') }}
    where document_type = 1

),

final as (

    select
        invoices.*,
        case
            when invoices.original_type = 2 and invoices.original_name is not null then invoices.original_name
            else orders_of_chains.order_name
        end as order_name,
        case
            when
                invoices.void_status = 1 or receivables.void_status = 1 or receivable_history.void_status = 1
                then 'voided'
            when coalesce(receivables.current_amount, receivable_history.current_amount) = 0 then 'paid'
            when
                coalesce(receivables.current_amount, receivable_history.current_amount)
                < coalesce(receivables.original_amount, receivable_history.original_amount)
                then 'partly paid'
            else 'open'
        end as payment_status

    from invoices
    left join orders_of_chains
        on
            invoices.company = orders_of_chains.company
            and invoices.master_number = orders_of_chains.master_number
    left join receivables
        on
            invoices.company = receivables.company
            and invoices.customer_key = receivables.customer_key
            and invoices.document_key = receivables.document_key
    left join receivable_history
        on
            invoices.company = receivable_history.company
            and invoices.customer_key = receivable_history.customer_key
            and invoices.document_key = receivable_history.document_key

)

select * from final
