{% macro crm_dependencies() -%}
    {%- if not execute -%}
        {%- for name in crm_models() -%}{%- do ref(name) -%}{%- endfor -%}
    {%- else -%}
        {%- for name in crm_mapping() if name not in crm_models() -%}
            {{ exceptions.raise_compiler_error(
                "The audit models do not know " ~ name ~ ", which has a meta.crm. Add it to vars: crm_models in"
                ~ " dbt_project.yml."
            ) }}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
