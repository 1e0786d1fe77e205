{#- The type of text that comes from CRM or from JSON: it may hold any character, whatever the database's code page. -#}
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
