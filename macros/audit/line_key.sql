{#- By what a line is known within its record, as text: children.match_on of the contract. -#}
{% macro line_key(lines, relation) -%}
    {%- set texts = [] -%}
    {%- for name in lines.match_on -%}
        {%- set column = lines.columns | selectattr('name', 'equalto', name) | first -%}
        {%- do texts.append(as_text(relation ~ '.' ~ name, column.data_type)) -%}
    {%- endfor -%}
    {{ texts[0] if texts | length == 1 else "concat(" ~ texts | join(", ' / ', ") ~ ")" }}
{%- endmacro %}

{#- The same as a list of columns to compare, to group or to join by. -#}
{% macro line_key_columns(lines, relation) -%}
    {%- set keys = [] -%}
    {%- for name in lines.match_on -%}
        {%- set column = lines.columns | selectattr('name', 'equalto', name) | first -%}
        {%- set value = relation ~ '.' ~ name -%}
        {%- do keys.append(folded(value) if type_family(column.data_type) == 'text' else value) -%}
    {%- endfor -%}
    {{ return(keys) }}
{%- endmacro %}
