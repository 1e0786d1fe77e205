{% macro line_key_columns(lines, relation) -%}
    {%- set keys = [] -%}
    {%- for name in lines.match_on -%}
        {%- set column = lines.columns | selectattr('name', 'equalto', name) | first -%}
        {%- set value = relation ~ '.' ~ name -%}
        {%- do keys.append(folded(value) if type_family(column.data_type) == 'text' else value) -%}
    {%- endfor -%}
    {{ return(keys) }}
{%- endmacro %}
