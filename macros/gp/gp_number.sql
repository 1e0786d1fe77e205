{#- GP's columns are not null and hold 0 where nobody filled them in; in a copy of its tables, null means the same. Where
    the column is not null, SQL Server leaves the function out. -#}
{% macro gp_number(column) -%}
    {{ return(adapter.dispatch('gp_number')(column)) }}
{%- endmacro %}

{% macro default__gp_number(column) -%}
    isnull({{ column }}, 0)
{%- endmacro %}

{% macro duckdb__gp_number(column) -%}
    coalesce({{ column }}, 0)
{%- endmacro %}
