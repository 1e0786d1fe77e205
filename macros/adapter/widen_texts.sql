{% macro widen_texts() -%}
    {{ return(adapter.dispatch('widen_texts')()) }}
{%- endmacro %}

{% macro default__widen_texts() -%}
    {%- set relation = load_relation(this) if execute else none -%}
    {%- if relation -%}
        {%- set held = {} -%}
        {%- for column in adapter.get_columns_in_relation(relation) -%}
            {%- do held.update({column.name | lower: column.dtype | lower}) -%}
        {%- endfor -%}
        {%- for column in model.columns.values() -%}
            {%- if column.data_type.startswith('nvarchar') and held.get(column.name | lower) == 'varchar' %}
    alter table {{ relation }} alter column {{ column.name }} {{ column.data_type }};
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}

{% macro duckdb__widen_texts() -%}
{%- endmacro %}
