{% macro trace_number(trace, gp_column, crm_column) -%}
    {%- set table = gp_column.split('.')[0] -%}
    {%- set found = namespace(first=none, number=none) -%}
    {%- for joined in trace if joined.table == table -%}
        {%- set number = trace.index(joined) + 1 -%}
        {%- set prefix = joined.get('columns') -%}
        {%- set found.first = found.first or number -%}
        {%- if (prefix and crm_column.startswith(prefix)) or (not prefix and found.number is none) -%}
            {%- set found.number = number -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(found.number or found.first) }}
{%- endmacro %}
