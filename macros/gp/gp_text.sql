{% macro gp_text(column) -%}
    nullif(rtrim({{ column }}), '')
{%- endmacro %}
