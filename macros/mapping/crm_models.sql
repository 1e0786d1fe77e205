{% macro crm_models() -%}
    {%- set names = [] -%}
    {%- for folder, models in var('crm_models').items() if folder == 'sales_orders' or var('sync', {}).get(folder) -%}
        {%- do names.extend(models) -%}
    {%- endfor -%}
    {{ return(names) }}
{%- endmacro %}
