with

events as (

    select
        *,
        row_number() over (
            partition by {{ code_key('record_key') }}
            order by happened_at desc, event_no desc
        ) as age

    from {{ ref('sync_event') }}
    where crm_table = 'salesorder'

),

{#- The loader names a column of a line as `line 16384: uomid`. -#}
warnings as (

    select
        events.record_key as order_number,
        events.happened_at as warned_at,
        events.run_id,
        warning.item_no as warning_no,
        cast(warning.code as varchar(60)) as warning,
        case when warning.place like 'line %: %' then 'line' else 'header' end as part,
        case
            when warning.place like 'line %: %'
                then {{ dbt.position("': '", 'warning.place') }}
            else 0
        end as colon_at,
        warning.place,
        warning.message

    from events
    {{ json_rows('events.warnings', 'warning', {'code': 'code', 'column': 'place', 'message': 'message'}) }}
    where events.age = 1

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

    from warnings

)

select * from final
