{% macro company_rank(relation) -%}
    {%- set companies = gp_companies() -%}
    {%- if companies | length > 1 -%}
        case {{ relation }}.company
            {%- for company in companies %}
            when {{ text_literal(company.name) }} then {{ loop.index }}
            {%- endfor %}
        end,
    {%- endif -%}
{%- endmacro %}
