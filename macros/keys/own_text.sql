{#- GP's text in this database's collation: where a `union` or a `coalesce` brings it together with text of this project,
    T-SQL refuses two collations. -#}
{% macro own_text(column, length) -%}
    {{ return(adapter.dispatch('own_text')(column, length)) }}
{%- endmacro %}

{% macro default__own_text(column, length) -%}
    cast(nullif(rtrim({{ column }}), '') as varchar({{ length }})) collate database_default
{%- endmacro %}

{% macro duckdb__own_text(column, length) -%}
    cast(nullif(rtrim({{ column }}), '') as varchar({{ length }}))
{%- endmacro %}
