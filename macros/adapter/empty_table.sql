{% macro empty_table() -%}
select
    {%- for column in model.columns.values() %}
    cast(null as {{ column.data_type }}) as {{ column.name }}{{ "," if not loop.last }}
    {%- else %} 1 as parsing
    {%- endfor %}
where 1 = 0
{%- endmacro %}
