{% macro staged_value_of_field(fields) -%}
    case fields.field_no
        when 0 then null
        {%- for field in fields %}
        when {{ field.number }} then {{ as_text('staged.' ~ field.column.name, field.column.data_type) }}
        {%- endfor %}
    end
{%- endmacro %}
