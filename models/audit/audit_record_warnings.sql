with

ranked as (

    select
        events.record_key,
        events.crm_table,
        events.happened_at,
        events.run_id,
        events.warnings,
        row_number() over (
            partition by events.crm_table, events.match_key
            order by coalesce(runs.run_no, 0) desc, events.happened_at desc, events.event_no desc
        ) as age

    from {{ ref('sync_event') }} as events
    left join {{ ref('sync_run') }} as runs on events.run_id = runs.run_id

),

latest as (

    select * from ranked
    where age = 1

),

listed as (

    {{ json_items('latest', 'warnings', ['code', 'table', 'line', 'column', 'message']) }}

),

final as (

    select
        crm_table,
        record_key,
        cast(item_table as varchar(128)) as row_table,
        cast(item_line as {{ text_type(300) }}) as line_key,
        cast(item_column as varchar(128)) as crm_column,
        cast(item_code as varchar(60)) as warning,
        item_message as message,
        happened_at as warned_at,
        run_id,
        item_no as warning_no

    from listed

)

select * from final
