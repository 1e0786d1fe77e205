{% macro first_of(expression) -%}
    {{ return(adapter.dispatch('first_of')(expression)) }}
{%- endmacro %}

{% macro default__first_of(expression) -%}
    min(rtrim({{ expression }}) collate Latin1_General_BIN2) collate database_default
{%- endmacro %}

{% macro duckdb__first_of(expression) -%}
    min(rtrim({{ expression }}))
{%- endmacro %}
