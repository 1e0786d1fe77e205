{{ crm_dependencies() }}
-- depends_on: {{ ref('audit_journal_records') }}
{%- set selects = unmapped_codes() %}

with

unmapped as (
    {%- for each in selects %}

    {{ each }}
    {{ "\n    union all" if not loop.last }}
    {%- else %}

    select
        '' as crm_table,
        '' as reason,
        '' as crm_column,
        '' as effect,
        cast(null as varchar(50)) as gp_code,
        '' as record_key,
        cast(null as decimal(38, 5)) as amount
    {%- endfor %}

),

{#- A record may have the same code on several lines. -#}
once as (

    select
        crm_table,
        reason,
        crm_column,
        effect,
        {{ folded('gp_code') }} as code_key,
        {{ first_of('gp_code') }} as gp_code,
        record_key,
        min(amount) as amount

    from unmapped
    where gp_code is not null
    group by crm_table, reason, crm_column, effect, {{ folded('gp_code') }}, record_key

),

final as (

    select
        cast(crm_table as varchar(128)) as crm_table,
        cast(reason as varchar(60)) as reason,
        cast(crm_column as varchar(128)) as crm_column,
        cast(effect as varchar(60)) as effect,
        cast({{ first_of('gp_code') }} as {{ text_type(50) }}) as gp_code,
        count(*) as records,
        sum(amount) as amount,
        cast({{ first_of('record_key') }} as {{ text_type(300) }}) as example_key

    from once
    group by crm_table, reason, crm_column, effect, code_key

)

select * from final
