{% macro json_items(relation, column, fields, objects=[]) -%}
    {{ return(adapter.dispatch('json_items')(relation, relation ~ '.' ~ column, fields, objects)) }}
{%- endmacro %}

{% macro default__json_items(relation, json, fields, objects) -%}
    select
        {{ relation }}.*,
        try_cast(listed.[key] as int) + 1 as item_no,
        field.*
    from {{ relation }}
    cross apply openjson(case when isjson({{ json }}) = 1 then {{ json }} end) as listed
    cross apply openjson(case when listed.[type] = 5 then listed.[value] end) with (
        {%- for name in fields %}
        item_{{ name }} nvarchar(max) '$.{{ name }}'{{ ',' if objects or not loop.last }}
        {%- endfor %}
        {%- for name in objects %}
        item_{{ name }} nvarchar(max) '$.{{ name }}' as json{{ ',' if not loop.last }}
        {%- endfor %}
    ) as field
{%- endmacro %}

{#- DuckDB reads JSON numbers as floats: in quotes they stay as they were written. Unnested in the select, and not by a
    join, the list is not opened for rows that a filter on `relation` leaves out. -#}
{% macro duckdb__json_items(relation, json, fields, objects) -%}
    {%- set types = [] -%}
    {%- for name in fields -%}{%- do types.append('"' ~ name ~ '": "VARCHAR"') -%}{%- endfor -%}
    {%- for name in objects -%}{%- do types.append('"' ~ name ~ '": "JSON"') -%}{%- endfor -%}
    {%- set exact -%}
        regexp_replace({{ json }}, '"({{ fields | join('|') }})": (-?[0-9][0-9.eE+-]*)', '"\1": "\2"', 'g')
    {%- endset -%}
    {%- set list -%}
        from_json(case when json_valid({{ json }}) then {{ exact }} end, '[{ {{- types | join(', ') -}} }]')
    {%- endset -%}
    select
        opened.*,
        {%- for name in fields %}
        opened.item."{{ name }}" as item_{{ name }}{{ ',' if objects or not loop.last }}
        {%- endfor %}
        {%- for name in objects %}
        cast(opened.item."{{ name }}" as varchar) as item_{{ name }}{{ ',' if not loop.last }}
        {%- endfor %}
    from (
        select
            {{ relation }}.*,
            unnest({{ list }}) as item,
            generate_subscripts({{ list }}, 1) as item_no
        from {{ relation }}
    ) as opened
    where opened.item is not null
{%- endmacro %}
