{#- Stands at the top of a model that is generated from the contract: it makes dbt build that model after every crm model
    that is switched on. A crm model that var `crm_models` does not list is an error, because it would be left out or read
    before it is built. -#}
{% macro crm_dependencies() -%}
    {%- if not execute -%}
        {%- for name in crm_models() -%}{%- do ref(name) -%}{%- endfor -%}
    {%- else -%}
        {%- for name in crm_mapping() if name not in crm_models() -%}
            {{ exceptions.raise_compiler_error(
                "The audit models do not know " ~ name ~ ", which has a meta.crm. Add it to its folder under vars:"
                ~ " crm_models in dbt_project.yml, and switch that folder on under vars: sync."
            ) }}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
