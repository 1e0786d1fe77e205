{% macro descriptions_held(relation) -%}
    {%- set found = {} -%}
    {%- set rows = run_query(
        "select lower(col_name(major_id, minor_id)) as column_name, cast(value as nvarchar(3750)) as description"
        ~ " from sys.extended_properties where class = 1 and name = N'MS_Description'"
        ~ " and major_id = object_id(" ~ text_literal("[" ~ relation.schema ~ "].[" ~ relation.identifier ~ "]") ~ ")"
    ) -%}
    {%- for row in rows -%}
        {%- do found.update({row[0] or '': row[1]}) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}
