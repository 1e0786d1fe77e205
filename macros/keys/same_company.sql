{#- A condition of a join of two GP tables. Always true where there is a single company. -#}
{% macro same_company(one, other) -%}
    {%- if gp_companies() | length > 1 -%} {{ one }}.company = {{ other }}.company {%- else -%} 1 = 1 {%- endif -%}
{%- endmacro %}
