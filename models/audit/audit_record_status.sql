{{ crm_dependencies() }}
{%- set models = audited_models() -%}

with

journal as (

    select * from {{ ref('audit_journal_records') }}

),

staged as (
    {%- for model in models %}
    {%- set unless = model.meta.get('create_unless', {}).get('column') %}

    select
        '{{ model.table }}' as crm_table,
        {{ record_key(model, 'staged') }} as record_key,
        {{ record_title(model, 'staged') }} as title,
        {{ record_amount(model, 'staged') }} as amount,
        {{ 1 if model.is_ended else 0 }} as is_ended,
        {{ 'case when staged.' ~ unless ~ ' <> 0 then 1 else 0 end' if unless else '0' }} as is_not_created

    from {{ ref(model.name) }} as staged
    {{ "\n    union all" if not loop.last }}
    {%- else %}

    select
        '' as crm_table,
        '' as record_key,
        '' as title,
        0 as amount,
        0 as is_ended,
        0 as is_not_created
    {%- endfor %}

),

{#- Where GP uses a key again, the record that may be created is the one that is pushed. -#}
ranked as (

    select
        crm_table,
        {{ folded('record_key') }} as match_key,
        record_key,
        title,
        amount,
        is_ended,
        is_not_created,
        rank() over (partition by crm_table, {{ folded('record_key') }} order by is_ended) as choice

    from staged

),

chosen as (

    select * from ranked
    where choice = 1

),

final as (

    select
        coalesce(chosen.crm_table, journal.crm_table) as crm_table,
        coalesce(chosen.record_key, journal.record_key) as record_key,
        chosen.title,
        chosen.amount,
        case when chosen.crm_table is null then 0 else 1 end as is_staged,
        coalesce(journal.in_crm, 0) as in_crm,
        journal.crm_id,
        journal.crm_link,
        journal.first_pushed_at,
        journal.last_pushed_at,
        case
            when journal.status in ('waiting', 'held', 'ignored') then journal.status
            when coalesce(chosen.is_ended, 1) = 1 and journal.is_closed = 1 then 'closed'
            when chosen.is_ended = 1 and journal.last_outcome is not null then 'not_closed_yet'
            when coalesce(chosen.is_ended, 1) = 1 then 'left_in_crm'
            when journal.status is not null then journal.status
            when chosen.is_not_created = 1 then 'not_created'
            else 'not_pushed_yet'
        end as status,
        journal.last_outcome,
        journal.reason,
        journal.message,
        journal.since,
        coalesce(journal.attempts, 0) as attempts,
        journal.queue_state

    from chosen
    full outer join journal on chosen.crm_table = journal.crm_table and chosen.match_key = journal.match_key
    where
        chosen.is_ended = 0
        or journal.in_crm = 1
        or journal.queue_state in ('open', 'held', 'ignored')

)

select * from final
