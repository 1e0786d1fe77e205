{% macro gp_rows(table) -%}
    {%- set companies = gp_companies() -%}
    {%- set named = gp_columns(table) if companies | length > 1 else [] -%}
    {%- set relation = source('gp', table) -%}
    {%- for company in companies -%}
        {%- set place = {'database': company.database, 'schema': company.schema} -%}
    select {{ named | join(', ') or '*' }}, {{ text_literal(company.name) }} as company
    from {{ relation.incorporate(path=place) if company.is_listed else relation }}{{ gp_nolock() }}
        {%- if not loop.last %}
    union all
    {% endif -%}
    {%- endfor -%}
{%- endmacro %}
