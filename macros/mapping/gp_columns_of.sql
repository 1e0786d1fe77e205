{#- The GP columns that a CRM column comes from: `gp` of its meta.crm is one of them or a list. -#}
{% macro gp_columns_of(crm) -%}
    {%- set gp = crm.get('gp', []) -%}
    {{ return([gp] if gp is string else gp) }}
{%- endmacro %}
