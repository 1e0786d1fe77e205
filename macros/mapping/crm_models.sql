{% macro crm_models() -%}
    {%- set names = var('crm_models') | list -%}
    {%- for integration, models in var('sync_models').items() if var('sync', {}).get(integration) -%}
        {%- do names.extend(models) -%}
    {%- endfor -%}
    {{ return(names) }}
{%- endmacro %}
