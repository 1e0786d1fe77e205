{% macro gp_key(column) -%}
    {{ return(adapter.dispatch('gp_key')(column)) }}
{%- endmacro %}

{% macro default__gp_key(column) -%}
    {{ column }}
{%- endmacro %}

{% macro duckdb__gp_key(column) -%}
    {{ folded("coalesce(" ~ column ~ ", '')") }}
{%- endmacro %}
