with

final as (

    select
        record_key as order_number,
        changed_at,
        run_id,
        run_no,
        event_no,
        change_no,
        outcome,
        crm_id,
        case when row_table = crm_table then 'header' else 'line' end as part,
        try_cast(line_key as int) as line_number,
        action,
        crm_column,
        value_before,
        value_after,
        code_before,
        code_after

    from {{ ref('audit_record_changes') }}
    where crm_table = 'salesorder'

)

select * from final
