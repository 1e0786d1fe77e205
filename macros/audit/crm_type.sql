{% macro crm_type(data_type) -%}
    {%- if data_type.startswith('varchar') -%} n{{ data_type }}
    {%- elif data_type.startswith('timestamp') -%} datetime2(0)
    {%- else -%} {{ data_type }}
    {%- endif -%}
{%- endmacro %}
