{% macro gp_number(column) -%}
    {{ return(adapter.dispatch('gp_number')(column)) }}
{%- endmacro %}

{% macro default__gp_number(column) -%}
    isnull({{ column }}, 0)
{%- endmacro %}

{% macro duckdb__gp_number(column) -%}
    coalesce({{ column }}, 0)
{%- endmacro %}
