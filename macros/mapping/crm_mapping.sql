{% macro crm_mapping() -%}
    {%- set models = {} -%}
    {%- set nodes = graph.get('nodes', {}).values() if execute else [] -%}
    {%- for node in nodes if node.resource_type == 'model' and node.config.meta.get('crm') -%}
        {%- set columns = [] -%}
        {%- for column in node.columns.values() -%}
            {%- do columns.append({
                'name': column.name,
                'data_type': column.data_type,
                'crm': column.config.meta.get('crm', {}),
                'is_sent': '__' not in column.name,
            }) -%}
        {%- endfor -%}
        {%- do models.update({
            node.name: {'meta': node.config.meta.crm, 'columns': columns, 'trace': node.config.meta.get('trace')}
        }) -%}
    {%- endfor -%}
    {{ return(models) }}
{%- endmacro %}
