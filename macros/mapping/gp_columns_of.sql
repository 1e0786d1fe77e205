{% macro gp_columns_of(crm) -%}
    {%- set gp = crm.get('gp', []) -%}
    {{ return([gp] if gp is string else gp) }}
{%- endmacro %}
