{% macro gp_long_text(column) -%}
    {{ return(adapter.dispatch('gp_long_text')(column)) }}
{%- endmacro %}

{% macro default__gp_long_text(column) -%}
    {{ gp_text('cast(' ~ column ~ ' as varchar(8000))') }}
{%- endmacro %}

{% macro duckdb__gp_long_text(column) -%}
    {{ gp_text(column) }}
{%- endmacro %}
