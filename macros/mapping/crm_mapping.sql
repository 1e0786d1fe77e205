{#- The `crm_*` models as their YAML describes them to the loader: {model: {meta, columns: [{name, data_type, crm,
    is_sent}]}}, where crm is the column's meta.crm. Empty while dbt still reads the project, and in unit tests, which
    give one of their own (`overrides: macros:`): what is made of it needs an `else`. -#}
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
        {%- do models.update({node.name: {'meta': node.config.meta.crm, 'columns': columns}}) -%}
    {%- endfor -%}
    {{ return(models) }}
{%- endmacro %}
