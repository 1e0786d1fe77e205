{% macro gp_value_of_field(fields) -%}
    case fields.field_no
        when 0 then null
        {%- for field in fields if field.gp_column %}
        when {{ field.number }} then {{ as_text(field.gp_column, field.gp_type) }}
        {%- endfor %}
    end
{%- endmacro %}
