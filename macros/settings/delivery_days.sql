{% macro delivery_days() -%}
    {%- set days = var('delivery_days') -%}
    {%- if days is not integer or days is boolean or days < 0 or days > 365 -%}
        {{ exceptions.raise_compiler_error(
            "var `delivery_days` is " ~ (days | tojson) ~ "; allowed: a whole number of days, 0 to 365"
        ) }}
    {%- endif -%}
    {{ return(days) }}
{%- endmacro %}
