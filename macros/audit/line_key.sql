{% macro line_key(lines, relation) -%}
    {%- set texts = [] -%}
    {%- for name in lines.match_on -%}
        {%- set column = lines.columns | selectattr('name', 'equalto', name) | first -%}
        {%- do texts.append(as_text(relation ~ '.' ~ name, column.data_type)) -%}
    {%- endfor -%}
    {{ texts[0] if texts | length == 1 else "concat(" ~ texts | join(", ' / ', ") ~ ")" }}
{%- endmacro %}
