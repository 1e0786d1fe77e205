{#- A key column of GP that no index begins with, in staging: as gp_id, and null in a copy of GP's tables is blank, as GP
    would have it. -#}
{% macro gp_code(column) -%}
    {{ return(adapter.dispatch('gp_code')(column)) }}
{%- endmacro %}

{% macro default__gp_code(column) -%}
    isnull({{ column }}, '')
{%- endmacro %}

{% macro duckdb__gp_code(column) -%}
    rtrim(coalesce({{ column }}, ''))
{%- endmacro %}
