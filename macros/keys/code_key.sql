{#- What to compare when GP's text meets text of this project (seeds, journal). GP's database may have another collation
    than this one, and this one may tell cases apart: the comparison is the same everywhere. -#}
{% macro code_key(column) -%}
    {{ return(adapter.dispatch('code_key')(column)) }}
{%- endmacro %}

{% macro default__code_key(column) -%}
    lower(rtrim({{ column }})) collate database_default
{%- endmacro %}

{% macro duckdb__code_key(column) -%}
    lower(rtrim({{ column }}, ' '))
{%- endmacro %}
