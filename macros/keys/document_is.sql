{% macro document_is(documents, name) -%}
    (
        {%- for company in gp_companies() %}
        {%- set prefix = company.prefix %}
        {%- set number = name %}
        {%- if prefix %}
        {%- set number -%}
            case
                when lower(left({{ name }}, {{ prefix | length }})) = lower({{ text_literal(prefix) }})
                    then substring({{ name }}, {{ prefix | length + 1 }}, 300)
            end
        {%- endset %}
        {%- endif %}
        {{ 'or ' if not loop.first }}(
            {{ documents }}.document_key = {{ bare_key(number) }}
            {{- ' and ' ~ documents ~ '.company = ' ~ text_literal(company.name) if gp_companies() | length > 1 }}
        )
        {%- endfor %}
    )
{%- endmacro %}
