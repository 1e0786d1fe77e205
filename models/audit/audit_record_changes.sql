with

events as (

    select
        events.*,
        runs.run_no

    from {{ ref('sync_event') }} as events
    left join {{ ref('sync_run') }} as runs on events.run_id = runs.run_id
    where events.outcome in ('created', 'updated')

),

changes as (

    {{ json_items(
        'events',
        'changes',
        ['table', 'line', 'action', 'column', 'before', 'after', 'before_shown', 'after_shown']
    ) }}

),

final as (

    select
        crm_table,
        record_key,
        happened_at as changed_at,
        run_id,
        run_no,
        event_no,
        item_no as change_no,
        outcome,
        crm_id,
        cast(item_table as varchar(128)) as row_table,
        cast(item_line as {{ text_type(300) }}) as line_key,
        cast(item_action as varchar(20)) as action,
        cast(item_column as varchar(128)) as crm_column,
        coalesce(item_before_shown, item_before) as value_before,
        coalesce(item_after_shown, item_after) as value_after,
        item_before as code_before,
        item_after as code_after

    from changes

)

select * from final
