{% macro text_type(length) -%}
    {{ return(adapter.dispatch('text_type')(length)) }}
{%- endmacro %}

{% macro default__text_type(length) -%}
    nvarchar({{ length }})
{%- endmacro %}

{#- Fabric's varchar is UTF-8. -#}
{% macro fabric__text_type(length) -%}
    varchar({{ length }})
{%- endmacro %}

{% macro duckdb__text_type(length) -%}
    varchar({{ length }})
{%- endmacro %}
