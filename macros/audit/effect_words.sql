{% macro effect_words() -%}
    {%- set words = ['column_left'] -%}
    {%- for table in audited_tables() -%}
        {%- do words.append(table.noun ~ '_blocked') -%}
    {%- endfor -%}
    {{ return(words) }}
{%- endmacro %}
