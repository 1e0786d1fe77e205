{% macro own_collation(expression) -%}
    {{ return(adapter.dispatch('own_collation')(expression)) }}
{%- endmacro %}

{% macro default__own_collation(expression) -%}
    {{ expression }} collate database_default
{%- endmacro %}

{% macro duckdb__own_collation(expression) -%}
    {{ expression }}
{%- endmacro %}
