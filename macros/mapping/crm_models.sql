{#- The names of the crm models that are switched on, from var `crm_models`: those of sales_orders, and of each folder that
    var `sync` says true of. dbt has to know what a model refers to before it has read the other models, so their names
    cannot be taken from the contract itself; crm_dependencies() compares the two. -#}
{% macro crm_models() -%}
    {%- set names = [] -%}
    {%- for folder, models in var('crm_models').items() if folder == 'sales_orders' or var('sync', {}).get(folder) -%}
        {%- do names.extend(models) -%}
    {%- endfor -%}
    {{ return(names) }}
{%- endmacro %}
