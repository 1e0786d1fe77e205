{% macro refuse_other_spelling() -%}
    {%- if execute and target.type == 'sqlserver' and flags.WHICH in ['build', 'run', 'seed', 'test'] -%}
        {%- set name = run_query("select db_name() as name").columns[0].values()[0] -%}
        {%- if name != target.database -%}
            {{ exceptions.raise_compiler_error(
                "The server calls the database `" ~ name ~ "`; the profile calls it `" ~ target.database ~ "`. dbt fails because of"
                ~ " the difference: set GP_CRM_SQLSERVER_DATABASE=" ~ name ~ "."
            ) }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
