{#- The first terms of a window's `order by`: customers, items and units go to CRM by GP's own codes, so that several
    companies may have one code; CRM gets the row of the company that var `gp_companies` lists first. Nothing where
    there is a single company. -#}
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
