{% macro folded(expression) -%}
    {{ return(adapter.dispatch('folded')(expression)) }}
{%- endmacro %}

{#- GP's database may have another collation than this one, and T-SQL refuses to compare the two. -#}
{% macro default__folded(expression) -%}
    lower(rtrim({{ expression }})) collate database_default
{%- endmacro %}

{% macro duckdb__folded(expression) -%}
    lower(rtrim({{ expression }}, ' '))
{%- endmacro %}
