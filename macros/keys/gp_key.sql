{#- A key column of GP in the form in which staging hands it out, for joins between GP's tables. In T-SQL it is the bare
    column: GP's collation ignores case and trailing blanks, and a function around the column would keep the join off
    GP's index. -#}
{% macro gp_key(column) -%}
    {{ return(adapter.dispatch('gp_key')(column)) }}
{%- endmacro %}

{% macro default__gp_key(column) -%}
    {{ column }}
{%- endmacro %}

{% macro duckdb__gp_key(column) -%}
    {{ folded("coalesce(" ~ column ~ ", '')") }}
{%- endmacro %}
