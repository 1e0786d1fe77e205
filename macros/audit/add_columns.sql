{% macro add_columns(columns, more) -%}
    {%- for column in more if column.name not in columns | map(attribute='name') -%}
        {%- do columns.append(column) -%}
    {%- endfor -%}
{%- endmacro %}
