{%- set ended = audited_models() | selectattr('table', 'equalto', 'salesorder') | selectattr('is_ended') | list -%}

with

open_documents as (

    select
        {{ own_collation('orders.document_name') }} as order_number,
        {{ own_collation('orders.customer_number') }} as customer_number,
        orders.document_amount,
        scoped.scope_reason

    from {{ ref('stg_gp__sales_orders') }} as orders
    inner join {{ ref('int_sales_orders_scoped') }} as scoped
        on orders.company = scoped.company and orders.document_key = scoped.document_key
    where orders.document_type = 2

),

history as (

    select
        {{ own_collation('history.document_name') }} as order_number,
        {{ own_collation('history.customer_number') }} as customer_number,
        history.document_amount,
        case when history.void_status <> 0 then 'voided' else 'transferred' end as scope_reason

    from {{ ref('stg_gp__sales_order_history') }} as history
    where
        history.document_type = 2
        and not exists (
            select 1
            from {{ ref('stg_gp__sales_orders') }} as open_documents
            where
                open_documents.document_type = 2
                and open_documents.company = history.company
                and open_documents.document_key = history.document_key
        )

),

journal as (

    select * from {{ ref('audit_journal_records') }}
    where crm_table = 'salesorder'

),

gp_orders as (

    select * from open_documents
    union all
    select * from history

),

keyed as (

    select
        {{ folded('order_number') }} as order_key,
        order_number,
        customer_number,
        document_amount,
        scope_reason

    from gp_orders

),

orders as (

    select
        order_key,
        order_number,
        customer_number,
        document_amount,
        scope_reason

    from keyed

    union all

    select
        match_key as order_key,
        record_key as order_number,
        null as customer_number,
        null as document_amount,
        'deleted_in_gp' as scope_reason

    from journal
    where
        in_crm = 1
        and not exists (
            select 1
            from keyed
            where keyed.order_key = journal.match_key
        )

),

final as (

    select
        orders.order_number,
        orders.customer_number,
        orders.document_amount,
        case when orders.scope_reason = 'open' then 1 else 0 end as in_scope,
        orders.scope_reason,
        coalesce(journal.in_crm, 0) as in_crm,
        journal.crm_id,
        journal.first_pushed_at,
        journal.last_pushed_at,
        case
            when orders.scope_reason <> 'open' and coalesce(journal.in_crm, 0) = 0 then 'not_for_crm'
            {%- if ended %}
            when orders.scope_reason <> 'open' and journal.status in ('waiting', 'held', 'ignored') then journal.status
            when orders.scope_reason <> 'open' and journal.is_closed = 1 then 'closed'
            {%- endif %}
            when orders.scope_reason <> 'open' then 'left_in_crm'
            else coalesce(journal.status, 'not_pushed_yet')
        end as status,
        journal.last_outcome,
        journal.reason,
        journal.message,
        journal.since,
        coalesce(journal.attempts, 0) as attempts,
        journal.queue_state

    from orders
    left join journal on orders.order_key = journal.match_key

)

select * from final
