{% macro setting(name, allowed) -%}
    {%- set value = var(name) -%}
    {%- if value not in allowed -%}
        {{ exceptions.raise_compiler_error(
            "var `" ~ name ~ "` is " ~ (value | tojson) ~ "; allowed: " ~ (allowed | map('tojson') | join(', '))
        ) }}
    {%- endif -%}
    {{ return(value) }}
{%- endmacro %}
