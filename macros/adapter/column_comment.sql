{% macro column_comment(column) -%}
    {%- set crm = column.config.meta.get('crm', {}) -%}
    {%- set gp = gp_columns_of(crm) | join(', ') -%}
    {%- set parts = [column.description | trim] -%}
    {%- if gp -%}
        {%- do parts.append('GP: ' ~ gp ~ '.') -%}
    {%- endif -%}
    {%- if crm.get('rule') -%}
        {%- do parts.append('Rule: ' ~ crm.rule ~ '.') -%}
    {%- endif -%}
    {{ return((parts | join(' '))[:3750]) }}
{%- endmacro %}
