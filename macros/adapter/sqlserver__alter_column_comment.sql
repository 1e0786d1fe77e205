{% macro sqlserver__alter_column_comment(relation, column_dict) -%}
    {%- set held = descriptions_held(relation) -%}
    {%- set wanted = {} -%}
    {%- for name, column in column_dict.items() if column.description -%}
        {%- do wanted.update({name: column_comment(column)}) -%}
    {%- endfor -%}
    {%- if wanted and relation.is_view and held.keys() | reject('equalto', '') | list == [] -%}
        {%- set name, description = wanted.items() | first -%}
        {%- do run_query(describe('add', relation, description, name)) -%}
        {%- set held = descriptions_held(relation) -%}
        {%- if name | lower not in held -%}
            {%- do run_query(describe('drop', relation, '', name)) -%}
            {%- set wanted = {} -%}
        {%- endif -%}
    {%- endif -%}
    {%- for name, description in wanted.items() -%}
        {%- if name | lower not in held -%}
            {{ describe('add', relation, description, name) }}
        {%- elif held[name | lower] != description -%}
            {{ describe('update', relation, description, name) }}
        {%- endif -%}
    {%- endfor -%}
{%- endmacro %}
