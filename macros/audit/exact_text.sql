{% macro exact_text(expression) -%}
    {{ return(adapter.dispatch('exact_text')(expression)) }}
{%- endmacro %}

{% macro default__exact_text(expression) -%}
    cast(rtrim({{ expression }}) as {{ text_type(4000) }}) collate Latin1_General_BIN2
{%- endmacro %}

{% macro duckdb__exact_text(expression) -%}
    rtrim({{ expression }})
{%- endmacro %}
