{% macro traced_column(trace, gp_column, crm_column) -%}
    {%- set table, column = gp_column.split('.') -%}
    {%- set found = namespace(number=none) -%}
    {%- for joined in trace if joined.table == table -%}
        {%- set prefix = joined.get('columns') -%}
        {%- if (prefix and crm_column.startswith(prefix)) or (not prefix and found.number is none) -%}
            {%- set found.number = loop.index0 -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set numbers = [] -%}
    {%- for joined in trace -%}{%- do numbers.append(loop.index) if joined.table == table -%}{%- endfor -%}
    {{ return('gp_' ~ numbers[found.number or 0] ~ '.' ~ column) }}
{%- endmacro %}
