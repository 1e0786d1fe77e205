{#- Words of the project's YAML as a literal; they may hold quotes, × and →. -#}
{% macro text_literal(text) -%}
    N'{{ text | replace("'", "''") }}'
{%- endmacro %}
