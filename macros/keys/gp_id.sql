{#- A key column of GP in staging. Bare in T-SQL, whose `=` ignores trailing blanks, so that a join can use GP's own
    index; without the padding in DuckDB, whose `=` does not. -#}
{% macro gp_id(column) -%}
    {{ return(adapter.dispatch('gp_id')(column)) }}
{%- endmacro %}

{% macro default__gp_id(column) -%}
    {{ column }}
{%- endmacro %}

{% macro duckdb__gp_id(column) -%}
    rtrim({{ column }})
{%- endmacro %}
