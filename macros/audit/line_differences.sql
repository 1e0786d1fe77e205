{% macro line_differences(table) -%}
    {%- set lines = table.lines -%}
    {%- set sent = lines.columns | selectattr('is_sent') | rejectattr('name', 'in', [lines.via] + lines.match_on) | list -%}
    {%- set here, there = line_key_columns(lines, 'staged'), line_key_columns(lines, 'crm') -%}
    select
        '{{ table.table }}' as crm_table,
        coalesce(staged.match_key, crm.match_key) as match_key,
        coalesce({{ as_text('staged.record_key', 'varchar') }}, {{ as_text('crm.record_key', 'varchar') }}) as record_key,
        '{{ lines.table }}' as row_table,
        coalesce({{ line_key(lines, 'staged') }}, {{ line_key(lines, 'crm') }}) as line_key,
        held.looked_at,
        0 as is_staged,
        case held.looked_at
            when 'presence'
                then case
                    when crm.crm_id is null then 'line_not_in_crm'
                    {%- if lines.are_deleted %}
                    when staged.match_key is null then 'line_only_in_crm'
                    {%- endif %}
                end
            when 'copies'
                then case when crm.copy_no > 1 and {{ there[0] }} is not null then 'line_twice_in_crm' end
            when 'value'
                then case
                    when staged.match_key is null or crm.crm_id is null then null
                    {%- if lines.made_by_parent %}
                    when staged.{{ lines.made_by_parent }} <> 0 then null
                    {%- endif %}
                    when {{ value_differs(sent, lines.models, is_line=true) | indent(20) }} = 1 then 'value'
                end
        end as difference,
        held.column_name as crm_column,
        {{ value_of_column('staged', sent) | indent(4) }} as staged_value,
        {{ value_of_column('crm', sent) | indent(4) }} as crm_value,
        {{ as_text('null', 'int') }} as crm_state,
        coalesce(crm.crm_id, staged.parent_crm_id) as crm_id

    from staged_{{ lines.table }} as staged
    full outer join snapshot_{{ lines.table }} as crm
        on
            staged.parent_crm_id = crm.parent_crm_id
            {%- for key in here %}
            and {{ key }} = {{ there[loop.index0] }}
            {%- endfor %}
    cross join checks as held
    where held.crm_table = '{{ lines.table }}'
{%- endmacro %}
