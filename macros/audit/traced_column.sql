{% macro traced_column(trace, gp_column, crm_column) -%}
    {{ return('gp_' ~ trace_number(trace, gp_column, crm_column) ~ '.' ~ gp_column.split('.')[1]) }}
{%- endmacro %}
