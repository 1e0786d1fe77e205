{% macro gp_columns(table) -%}
    {%- set sources = graph.get('sources', {}).values() if execute else [] -%}
    {%- for source in sources if source.source_name == 'gp' and source.name == table -%}
        {{ return(source.columns.values() | map(attribute='name') | list) }}
    {%- endfor -%}
    {{ return([]) }}
{%- endmacro %}
