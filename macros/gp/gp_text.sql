{#- GP's char(n) columns are blank padded; an empty one means "none". -#}
{% macro gp_text(column) -%}
    nullif(rtrim({{ column }}), '')
{%- endmacro %}
