{% macro refuse_incomplete_columns() -%}
    {%- set flaws, known = [], [] -%}
    {%- for source in graph.get('sources', {}).values() if source.source_name == 'gp' -%}
        {%- for column in source.columns.values() -%}
            {%- do known.extend([source.name ~ '.' ~ column.name, source.identifier ~ '.' ~ column.name]) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- for node in graph.get('nodes', {}).values() if node.resource_type == 'model' and node.package_name == project_name -%}
        {%- for column in node.columns.values() if not column.description -%}
            {%- do flaws.append(node.name ~ '.' ~ column.name ~ ' has no description') -%}
        {%- endfor -%}
        {%- for column in node.columns.values() if node.config.meta.get('crm') -%}
            {%- set crm, name = column.config.meta.get('crm', {}), node.name ~ '.' ~ column.name -%}
            {%- if not crm.get('gp') and not crm.get('rule') -%}
                {%- do flaws.append(name ~ ' does not say where it comes from: meta.crm needs gp or rule') -%}
            {%- endif -%}
            {%- for gp_column in gp_columns_of(crm) if gp_column not in known -%}
                {%- do flaws.append(name ~ ' comes from ' ~ gp_column ~ ', which no source lists') -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- if flaws -%}
        {{ exceptions.raise_compiler_error(
            "Columns are not complete (docs/add_a_column.md):\n  " ~ flaws | join('\n  ')
        ) }}
    {%- endif -%}
{%- endmacro %}
