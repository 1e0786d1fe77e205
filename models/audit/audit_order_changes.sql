with

events as (

    select * from {{ ref('sync_event') }}
    where crm_table = 'salesorder' and outcome in ('created', 'updated')

),

changes as (

    {{ json_items('events', 'changes', ['table', 'line', 'action', 'column', 'before', 'after']) }}

),

final as (

    select
        record_key as order_number,
        happened_at as changed_at,
        run_id,
        event_no,
        item_no as change_no,
        outcome,
        crm_id,
        case when item_table = crm_table then 'header' else 'line' end as part,
        try_cast(item_line as int) as line_number,
        cast(item_action as varchar(20)) as action,
        cast(item_column as varchar(128)) as crm_column,
        item_before as value_before,
        item_after as value_after

    from changes

)

select * from final
