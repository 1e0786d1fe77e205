{% macro field_list(fields) -%}
    {%- for field in fields %}
    select
        {{ field.number }} as field_no,
        '{{ field.column.name }}' as crm_column,
        {{ 1 if field.column.is_sent else 0 }} as is_sent,
        {{ "'" ~ field.gp_column ~ "'" if field.gp_column else 'cast(null as varchar(128))' }} as gp_column,
        {{ text_literal(field.rule) }} as mapping_rule
    {{ "union all" if not loop.last }}
    {%- else %}
    select 0 as field_no, '' as crm_column, 0 as is_sent, '' as gp_column, '' as mapping_rule
    {%- endfor %}
{%- endmacro %}
