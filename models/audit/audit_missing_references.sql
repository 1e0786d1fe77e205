with

queue as (

    select
        record_key,
        first_failed_at,
        last_failed_at,
        missing

    from {{ ref('retry_queue') }}
    where crm_table = 'salesorder' and state in ('open', 'held')

),

orders as (

    select
        {{ folded('name') }} as order_key,
        totalamount as document_amount

    from {{ ref('crm_salesorder') }}

),

listed as (

    {{ json_items('queue', 'missing', ['code', 'table'], objects=['match']) }}

),

missing as (

    select
        record_key,
        first_failed_at,
        last_failed_at,
        cast(item_code as varchar(60)) as reason,
        cast(item_table as varchar(128)) as crm_table,
        cast({{ json_pairs('item_match') }} as {{ text_type(400) }}) as reference

    from listed

),

{#- An order names a product once a line. -#}
once as (

    select
        record_key,
        first_failed_at,
        last_failed_at,
        reason,
        crm_table,
        {{ folded('reference') }} as reference_key,
        {{ first_of('reference') }} as reference

    from missing
    group by record_key, first_failed_at, last_failed_at, reason, crm_table, {{ folded('reference') }}

),

final as (

    select
        once.reason,
        once.crm_table,
        {{ first_of('once.reference') }} as reference,
        count(*) as orders,
        sum(orders.document_amount) as document_amount,
        min(once.first_failed_at) as waiting_since,
        max(once.last_failed_at) as last_failed_at,
        {{ first_of('once.record_key') }} as example_order

    from once
    left join orders on {{ folded('once.record_key') }} = orders.order_key
    group by once.reason, once.crm_table, once.reference_key

)

select * from final
