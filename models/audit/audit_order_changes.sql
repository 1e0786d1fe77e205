with

events as (

    select * from {{ ref('sync_event') }}
    where crm_table = 'salesorder' and outcome in ('created', 'updated')

),

changes as (

    select
        events.record_key as order_number,
        events.happened_at as changed_at,
        events.run_id,
        events.event_no,
        change.item_no as change_no,
        events.outcome,
        events.crm_id,
        case when change.crm_table like '% line' then 'line' else 'header' end as part,
        case
            when change.crm_table like '% line' and change.record like '%/%'
                then try_cast(right(change.record, {{ dbt.position("'/'", 'reverse(change.record)') }} - 1) as int)
        end as line_number,
        cast(change.action as varchar(20)) as action,
        cast(change.crm_column as varchar(128)) as crm_column,
        change.value_before,
        change.value_after

    from events
    {{ json_rows('events.changes', 'change', {
        'table': 'crm_table', 'record': 'record', 'action': 'action', 'column': 'crm_column',
        'before': 'value_before', 'after': 'value_after',
    }) }}

)

select * from changes
