{% macro all_columns(columns, model_columns) -%}
    {%- set names = model_columns | map(attribute='name') | list -%}
    {%- for column in columns %}
        {%- set value = 'staged.' ~ column.name if column.name in names else 'cast(null as ' ~ column.data_type ~ ')' %}
        {{ own_collation(value) if type_family(column.data_type) == 'text' else value }} as {{ column.name }}{{ ',' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}
