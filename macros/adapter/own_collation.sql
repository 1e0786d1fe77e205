{#- GP's text in this database's collation: where a `union` or a `coalesce` brings it together with text of this project,
    T-SQL refuses two collations. -#}
{% macro own_collation(expression) -%}
    {{ return(adapter.dispatch('own_collation')(expression)) }}
{%- endmacro %}

{% macro default__own_collation(expression) -%}
    {{ expression }} collate database_default
{%- endmacro %}

{% macro duckdb__own_collation(expression) -%}
    {{ expression }}
{%- endmacro %}
