{#- A document's number after the prefix of its company, where var `gp_companies` gives one, so that numbers which several
    companies use stay apart in CRM. For a select from gp_rows(), which has the column `company`. -#}
{% macro gp_document_name(column) -%}
    {%- set number = gp_text(column) -%}
    {%- set prefixed = gp_companies() | selectattr('prefix') | list -%}
    {%- if not prefixed -%}
        {{ number }}
    {%- else -%}
        case
            {%- for company in prefixed %}
            when company = {{ text_literal(company.name) }} and {{ number }} is not null
                then concat({{ text_literal(company.prefix) }}, {{ number }})
            {%- endfor %}
            else {{ number }}
        end
    {%- endif -%}
{%- endmacro %}
