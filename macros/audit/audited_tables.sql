{% macro audited_tables() -%}
    {%- set tables = {} -%}
    {%- for model in audited_models() -%}
        {%- if model.table not in tables -%}
            {%- do tables.update({model.table: {
                'table': model.table, 'noun': model.noun | replace(' ', '_'), 'models': [], 'columns': [],
                'closed': model.meta.get('state', {}).get('closed', []), 'lines': none,
            }}) -%}
        {%- endif -%}
        {%- set table = tables[model.table] -%}
        {%- do table.models.append(model) -%}
        {%- do add_columns(table.columns, model.columns) -%}
        {%- if model.child -%}
            {%- if not table.lines -%}
                {%- set children = model.meta.children -%}
                {%- do table.update({'lines': {
                    'table': model.child.meta.table, 'via': children.via, 'match_on': children.match_on, 'models': [],
                    'columns': [], 'are_deleted': children.get('delete', true),
                    'made_by_parent': children.get('made_by_parent', {}).get('column'),
                }}) -%}
            {%- endif -%}
            {%- do table.lines.models.append(model) -%}
            {%- do add_columns(table.lines.columns, model.child.columns) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(tables.values() | list) }}
{%- endmacro %}
