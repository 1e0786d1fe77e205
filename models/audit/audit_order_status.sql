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

cross_reference as (

    select
        match_key as order_key,
        record_key,
        crm_id,
        first_pushed_at,
        last_pushed_at

    from {{ ref('crm_xref') }}
    where crm_table = 'salesorder'

),

queue as (

    select
        match_key as order_key,
        reason,
        message,
        first_failed_at,
        attempts,
        state

    from {{ ref('retry_queue') }}
    where crm_table = 'salesorder'

),

events as (

    select
        match_key as order_key,
        outcome,
        reason,
        message,
        happened_at,
        row_number() over (
            partition by match_key
            order by happened_at desc, event_no desc
        ) as age

    from {{ ref('sync_event') }}
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
        order_key,
        record_key as order_number,
        null as customer_number,
        null as document_amount,
        'deleted_in_gp' as scope_reason

    from cross_reference
    where not exists (
        select 1
        from keyed
        where keyed.order_key = cross_reference.order_key
    )

),

final as (

    select
        orders.order_number,
        orders.customer_number,
        orders.document_amount,
        case when orders.scope_reason = 'open' then 1 else 0 end as in_scope,
        orders.scope_reason,
        case when cross_reference.order_key is not null then 1 else 0 end as in_crm,
        cross_reference.crm_id,
        cross_reference.first_pushed_at,
        cross_reference.last_pushed_at,
        case
            when orders.scope_reason <> 'open' and cross_reference.order_key is null then 'not_for_crm'
            when orders.scope_reason <> 'open' then 'left_in_crm'
            when queue.state in ('held', 'ignored') then queue.state
            when queue.state = 'open' then 'waiting'
            when events.reason = 'closed_in_crm' then 'closed_in_crm'
            when cross_reference.order_key is not null then 'in_crm'
            else 'not_pushed_yet'
        end as status,
        events.outcome as last_outcome,
        case when queue.state in ('open', 'held', 'ignored') then queue.reason else events.reason end as reason,
        case when queue.state in ('open', 'held', 'ignored') then queue.message else events.message end as message,
        case
            when queue.state in ('open', 'held', 'ignored') then queue.first_failed_at
            else events.happened_at
        end as since,
        case when queue.state in ('open', 'held', 'ignored') then queue.attempts else 0 end as attempts,
        queue.state as queue_state

    from orders
    left join cross_reference on orders.order_key = cross_reference.order_key
    left join queue on orders.order_key = queue.order_key
    left join events on orders.order_key = events.order_key and events.age = 1

)

select * from final
