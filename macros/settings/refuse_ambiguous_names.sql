{% macro refuse_ambiguous_names() -%}
    {%- if target.type == 'duckdb' -%}
        {%- set gp_schemas = gp_companies() | map(attribute='schema') | list -%}
        {%- set schemas = gp_schemas + [target.schema, target.schema ~ '_journal'] -%}
        {%- if target.database | lower in schemas | map('lower') | list -%}
            {{ exceptions.raise_compiler_error(
                "The DuckDB file " ~ target.path ~ " is named like its schema `" ~ target.database ~ "`, which makes the"
                ~ " names of its tables ambiguous. Rename the file (GP_CRM_DUCKDB_PATH)."
            ) }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
