{% macro bare_key(expression) -%}
    {{ return(adapter.dispatch('bare_key')(expression)) }}
{%- endmacro %}

{#- What was binary has no collation of its own and takes that of GP's column, which a comparison must not convert. -#}
{% macro default__bare_key(expression) -%}
    cast(cast(cast({{ expression }} as varchar(21)) as varbinary(21)) as varchar(21))
{%- endmacro %}

{% macro duckdb__bare_key(expression) -%}
    {{ folded(expression) }}
{%- endmacro %}
