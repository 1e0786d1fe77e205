{% macro audited_models() -%}
    {%- set mapping = crm_mapping() -%}
    {%- set children = [] -%}
    {%- for model in mapping.values() if model.get('meta', {}).get('children') -%}
        {%- do children.append(model.meta.children.model) -%}
    {%- endfor -%}
    {%- set creating, ended = [], [] -%}
    {%- for name, model in mapping.items() if name not in children -%}
        {%- set meta = model.get('meta', {}) -%}
        {%- set child = meta.get('children', {}).get('model') -%}
        {%- do (ended if meta.get('create') == 'never' else creating).append({
            'name': name,
            'table': meta.table,
            'noun': meta.get('noun', 'order'),
            'meta': meta,
            'columns': model.columns,
            'trace': model.get('trace'),
            'child': dict(mapping[child], name=child) if child in mapping else none,
            'is_ended': meta.get('create') == 'never',
        }) -%}
    {%- endfor -%}
    {{ return(creating + ended) }}
{%- endmacro %}
