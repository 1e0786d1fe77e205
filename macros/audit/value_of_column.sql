{% macro value_of_column(relation, columns) -%}
    case held.column_name
        when '' then null
        {%- for column in columns %}
        when '{{ column.name }}' then {{ as_text(relation ~ '.' ~ column.name, column.data_type) }}
        {%- endfor %}
    end
{%- endmacro %}
