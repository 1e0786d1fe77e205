{#- DuckDB names a database after its file. If that is a schema's name too, `gp.SOP10100` could mean either, and DuckDB
    refuses queries one by one, far from the reason. -#}
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
