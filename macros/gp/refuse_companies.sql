{% macro refuse_companies(value, problem) -%}
    {{ exceptions.raise_compiler_error("var `gp_companies`: " ~ (value | tojson) ~ ": " ~ problem) }}
{%- endmacro %}
