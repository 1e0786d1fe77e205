with

queue as (

    select
        crm_table,
        match_key,
        record_key,
        first_failed_at,
        last_failed_at,
        missing

    from {{ ref('retry_queue') }}
    where state in ('open', 'held')

),

records as (

    select
        crm_table,
        {{ folded('record_key') }} as match_key,
        max(amount) as amount

    from {{ ref('audit_record_status') }}
    group by crm_table, {{ folded('record_key') }}

),

listed as (

    {{ json_items('queue', 'missing', ['code', 'table'], objects=['match']) }}

),

missing as (

    select
        crm_table as waiting_table,
        match_key,
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
        waiting_table,
        match_key,
        record_key,
        first_failed_at,
        last_failed_at,
        reason,
        crm_table,
        {{ folded('reference') }} as reference_key,
        {{ first_of('reference') }} as reference

    from missing
    group by
        waiting_table, match_key, record_key, first_failed_at, last_failed_at, reason, crm_table,
        {{ folded('reference') }}

),

final as (

    select
        once.waiting_table,
        once.reason,
        once.crm_table,
        {{ first_of('once.reference') }} as reference,
        count(*) as records,
        sum(records.amount) as amount,
        min(once.first_failed_at) as waiting_since,
        max(once.last_failed_at) as last_failed_at,
        {{ first_of('once.record_key') }} as example_key

    from once
    left join records on once.waiting_table = records.crm_table and once.match_key = records.match_key
    group by once.waiting_table, once.reason, once.crm_table, once.reference_key

)

select * from final
