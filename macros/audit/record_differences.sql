{% macro record_differences(table) -%}
    {%- set sent = table.columns | selectattr('is_sent') | list -%}
    {%- set has_state = 'statecode' in table.columns | map(attribute='name') | list -%}
    select
        '{{ table.table }}' as crm_table,
        coalesce(staged.match_key, crm.match_key) as match_key,
        coalesce({{ as_text('staged.record_key', 'varchar') }}, {{ as_text('crm.record_key', 'varchar') }}) as record_key,
        '{{ table.table }}' as row_table,
        {{ as_text('null', 'varchar') }} as line_key,
        held.looked_at,
        case when staged.match_key is null then 0 else 1 end as is_staged,
        case held.looked_at
            when 'presence'
                then case
                    when crm.match_key is null and staged.is_ended = 0 and staged.is_not_created = 0
                        then '{{ table.noun }}_not_in_crm'
                    when staged.match_key is null
                        {%- if has_state and table.closed %} and crm.statecode not in ({{ table.closed | join(', ') }}) {%- endif %}
                        then '{{ table.noun }}_left_scope'
                end
            when 'copies'
                then case when crm.copy_no > 1 then '{{ table.noun }}_twice_in_crm' end
            when 'value'
                then case
                    when staged.match_key is null or crm.match_key is null then null
                    when {{ value_differs(sent, table.models) | indent(20) }} = 1 then 'value'
                end
        end as difference,
        held.column_name as crm_column,
        {{ value_of_column('staged', sent) | indent(4) }} as staged_value,
        {{ value_of_column('crm', sent) | indent(4) }} as crm_value,
        {{ as_text('crm.statecode' if has_state else 'null', 'int') }} as crm_state,
        crm.crm_id

    from staged_{{ table.table }} as staged
    full outer join snapshot_{{ table.table }} as crm on staged.match_key = crm.match_key
    cross join checks as held
    where held.crm_table = '{{ table.table }}'
{%- endmacro %}
