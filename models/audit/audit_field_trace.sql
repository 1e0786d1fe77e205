{{ crm_dependencies() }}
-- depends_on: {{ ref('audit_journal_records') }}
{#- GP's own tables, not staging: this shows what GP holds before any rule has touched it. -#}
{%- set traces = field_traces() %}

with

traced as (
    {%- for each in traces %}

    {{ each }}
    {{ "union all" if not loop.last }}
    {%- else %}

    select
        '' as crm_table,
        '' as record_key,
        '' as part,
        '' as row_table,
        '' as line_key,
        0 as field_no,
        '' as crm_column,
        0 as is_sent,
        '' as gp_column,
        '' as gp_value,
        '' as mapping_rule,
        '' as staged_value
    {%- endfor %}

),

final as (

    select
        crm_table,
        record_key,
        part,
        row_table,
        line_key,
        case when part = 'line' then try_cast(line_key as int) end as line_number,
        field_no,
        crm_column,
        is_sent,
        gp_column,
        gp_value,
        mapping_rule,
        staged_value

    from traced

)

select * from final
