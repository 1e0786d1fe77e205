with

events as (

    select
        record_key,
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

    {{ json_items('latest', 'warnings', ['code', 'column', 'message']) }}

),

{#- The loader names a column of a line as `line 16384: uomid`. -#}
placed as (

    select
        record_key as order_number,
        happened_at as warned_at,
        run_id,
        item_no as warning_no,
        cast(item_code as varchar(60)) as warning,
        item_column as place,
        case when item_column like 'line %: %' then 'line' else 'header' end as part,
        case
            when item_column like 'line %: %' then {{ dbt.position("': '", 'item_column') }}
            else 0
        end as colon_at,
        item_message as message

    from listed

),

final as (

    select
        order_number,
        part,
        case when part = 'line' then try_cast(substring(place, 6, colon_at - 6) as int) end as line_number,
        cast(
            substring(place, case when part = 'line' then colon_at + 2 else 1 end, 128) as varchar(128)
        ) as crm_column,
        warning,
        message,
        warned_at,
        run_id,
        warning_no

    from placed

)

select * from final
