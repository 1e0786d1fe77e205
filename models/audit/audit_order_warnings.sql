with

events as (

    select
        record_key,
        crm_table,
        happened_at,
        run_id,
        warnings,
        row_number() over (
            partition by match_key
            order by happened_at desc, event_no desc
        ) as age

    from {{ ref('sync_event') }}
    where crm_table = 'salesorder'

),

latest as (

    select * from events
    where age = 1

),

listed as (

    {{ json_items('latest', 'warnings', ['code', 'table', 'line', 'column', 'message']) }}

),

final as (

    select
        record_key as order_number,
        case when item_table = crm_table then 'header' else 'line' end as part,
        try_cast(item_line as int) as line_number,
        cast(item_column as varchar(128)) as crm_column,
        cast(item_code as varchar(60)) as warning,
        item_message as message,
        happened_at as warned_at,
        run_id,
        item_no as warning_no

    from listed

)

select * from final
