{% macro sqlserver__alter_relation_comment(relation, relation_comment) -%}
    {%- set held = descriptions_held(relation) -%}
    {%- set wanted = relation_comment[:3750] -%}
    {%- if '' not in held -%}
        {{ describe('add', relation, wanted) }}
    {%- elif held[''] != wanted -%}
        {{ describe('update', relation, wanted) }}
    {%- else -%}
        select 1 as is_described
    {%- endif -%}
{%- endmacro %}
