{#- What CRM calls an order: GP's document number, after the prefix of its company where var `gp_companies` gives one, so
    that numbers which several companies use stay apart. `documents` is a relation with company and that number. -#}
{% macro order_name(documents, number='document_number') -%}
    {%- set unprefixed = gp_text(documents ~ '.' ~ number) -%}
    {%- set prefixed = gp_companies() | selectattr('prefix') | list -%}
    {%- if not prefixed -%}
        {{ unprefixed }}
    {%- else -%}
        case
            {%- for company in prefixed %}
            when {{ documents }}.company = {{ text_literal(company.name) }} and {{ unprefixed }} is not null
                then concat({{ text_literal(company.prefix) }}, {{ unprefixed }})
            {%- endfor %}
            else {{ unprefixed }}
        end
    {%- endif -%}
{%- endmacro %}

{#- The same for a join: without prefixes the bare number, so that the join can use GP's own index. -#}
{% macro order_name_key(documents, number) -%}
    {%- if gp_companies() | selectattr('prefix') | list -%}
        {{ gp_key(order_name(documents, number)) }}
    {%- else -%}
        {{ gp_key(documents ~ '.' ~ number) }}
    {%- endif -%}
{%- endmacro %}
