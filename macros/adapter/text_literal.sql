{% macro text_literal(text) -%}
    N'{{ text | replace("'", "''") }}'
{%- endmacro %}
