{% macro difference_words() -%}
    {%- set words = ['value', 'line_not_in_crm', 'line_only_in_crm', 'line_twice_in_crm'] -%}
    {%- for table in audited_tables() -%}
        {%- for what in ('not_in_crm', 'twice_in_crm', 'left_scope') -%}
            {%- do words.append(table.noun ~ '_' ~ what) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(words) }}
{%- endmacro %}
