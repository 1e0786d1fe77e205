{#- What to compare when two GP tables meet: keys match whatever their case and trailing blanks. GP's collation sees to
    both in T-SQL, where a function around the column would keep the join off GP's index. -#}
{% macro gp_key(column) -%}
    {{ return(adapter.dispatch('gp_key')(column)) }}
{%- endmacro %}

{% macro default__gp_key(column) -%}
    {{ column }}
{%- endmacro %}

{% macro duckdb__gp_key(column) -%}
    lower(rtrim({{ column }}, ' '))
{%- endmacro %}
