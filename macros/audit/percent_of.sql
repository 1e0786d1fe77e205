{#- A part in percent of the whole, with two decimals; null where there is no whole. -#}
{% macro percent_of(part, whole) -%}
    cast(100.0 * ({{ part }}) / nullif({{ whole }}, 0) as decimal(7, 2))
{%- endmacro %}
