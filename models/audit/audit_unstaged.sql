with

records as (

    select
        *,
        {{ folded('record_key') }} as match_key

    from {{ ref('audit_record_status') }}
    where is_staged = 0 and in_crm = 1 and status <> 'closed'

),

orders as (

    select
        'salesorder' as crm_table,
        {{ folded('order_number') }} as match_key,
        max(scope_reason) as scope_reason

    from {{ ref('audit_order_status') }}
    group by {{ folded('order_number') }}

),

final as (

    select
        records.crm_table,
        records.record_key,
        records.crm_id,
        records.crm_link,
        records.first_pushed_at,
        records.last_pushed_at,
        records.status,
        orders.scope_reason

    from records
    left join orders on records.crm_table = orders.crm_table and records.match_key = orders.match_key

)

select * from final
