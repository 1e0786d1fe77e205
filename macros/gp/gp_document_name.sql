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
