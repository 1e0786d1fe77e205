with

final as (

    select
        record_key as order_number,
        case when row_table = crm_table then 'header' else 'line' end as part,
        try_cast(line_key as int) as line_number,
        crm_column,
        warning,
        message,
        warned_at,
        run_id,
        warning_no

    from {{ ref('audit_record_warnings') }}
    where crm_table = 'salesorder'

)

select * from final
