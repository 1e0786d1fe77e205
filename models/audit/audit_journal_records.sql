with

cross_reference as (

    select
        crm_table,
        match_key,
        record_key,
        crm_id,
        is_closed,
        first_pushed_at,
        last_pushed_at

    from {{ ref('crm_xref') }}

),

queue as (

    select
        crm_table,
        match_key,
        record_key,
        reason,
        message,
        first_failed_at,
        attempts,
        state

    from {{ ref('retry_queue') }}

),

runs as (

    select
        run_id,
        coalesce(run_no, 0) as run_no,
        crm_url,
        row_number() over (
            order by case when crm_url is null then 1 else 0 end, coalesce(run_no, 0) desc, started_at desc
        ) as age

    from {{ ref('sync_run') }}

),

{#- Runs are numbered in the order in which they began; clocks may be set back. -#}
ranked_events as (

    select
        events.*,
        row_number() over (
            partition by events.crm_table, events.match_key
            order by coalesce(runs.run_no, 0) desc, events.happened_at desc, events.event_no desc
        ) as age

    from {{ ref('sync_event') }} as events
    left join runs on events.run_id = runs.run_id

),

events as (

    select
        crm_table,
        match_key,
        record_key,
        outcome,
        reason,
        message,
        happened_at

    from ranked_events
    where age = 1

),

crm as (

    select crm_url from runs
    where age = 1

),

known as (

    select
        crm_table,
        match_key

    from cross_reference

    union

    select
        crm_table,
        match_key

    from queue

    union

    select
        crm_table,
        match_key

    from events

),

final as (

    select
        known.crm_table,
        known.match_key,
        coalesce(cross_reference.record_key, queue.record_key, events.record_key) as record_key,
        case when cross_reference.match_key is not null then 1 else 0 end as in_crm,
        coalesce(cross_reference.is_closed, 0) as is_closed,
        cross_reference.crm_id,
        case
            when cross_reference.crm_id is not null and crm.crm_url is not null
                then concat(
                    crm.crm_url, case when right(crm.crm_url, 1) = '/' then '' else '/' end,
                    'main.aspx?pagetype=entityrecord&etn=', known.crm_table, '&id=', cross_reference.crm_id
                )
        end as crm_link,
        cross_reference.first_pushed_at,
        cross_reference.last_pushed_at,
        case
            when queue.state in ('held', 'ignored') then queue.state
            when queue.state = 'open' then 'waiting'
            when events.reason = 'closed_in_crm' then 'closed_in_crm'
            when cross_reference.match_key is not null then 'in_crm'
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

    from known
    left join cross_reference
        on known.crm_table = cross_reference.crm_table and known.match_key = cross_reference.match_key
    left join queue
        on known.crm_table = queue.crm_table and known.match_key = queue.match_key
    left join events
        on known.crm_table = events.crm_table and known.match_key = events.match_key
    left join crm on 1 = 1

)

select * from final
