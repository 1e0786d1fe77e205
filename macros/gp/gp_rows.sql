{#- A select: the rows of a GP table, of all companies, each with its `company`. The columns of several companies are
    named, because their tables may have been made in another order. -#}
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

{#- A GP table's columns as __sources.yml names them; none while dbt still reads the project. -#}
{% macro gp_columns(table) -%}
    {%- set sources = graph.get('sources', {}).values() if execute else [] -%}
    {%- for source in sources if source.source_name == 'gp' and source.name == table -%}
        {{ return(source.columns.values() | map(attribute='name') | list) }}
    {%- endfor -%}
    {{ return([]) }}
{%- endmacro %}
