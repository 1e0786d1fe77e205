{#- As gp_text, for a column of SQL Server's old type text, which its functions refuse. -#}
{% macro gp_long_text(column) -%}
    {{ return(adapter.dispatch('gp_long_text')(column)) }}
{%- endmacro %}

{% macro default__gp_long_text(column) -%}
    {{ gp_text('cast(' ~ column ~ ' as varchar(8000))') }}
{%- endmacro %}

{% macro duckdb__gp_long_text(column) -%}
    {{ gp_text(column) }}
{%- endmacro %}
