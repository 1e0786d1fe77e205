{#- To be put after a table in `from`: the objects of its JSON list, one row each, with `item_no` (from 1) and the
    `fields` (name in JSON: column) as text; `objects` likewise, as JSON. A number keeps its decimals. What is no JSON
    list gives no rows. -#}
{% macro json_rows(json, alias, fields, objects={}) -%}
    {{ return(adapter.dispatch('json_rows')(json, alias, fields, objects)) }}
{%- endmacro %}

{% macro default__json_rows(json, alias, fields, objects) -%}
    cross apply (
        select
            try_cast(item.[key] as int) + 1 as item_no,
            field.*
        from openjson(case when isjson({{ json }}) = 1 then {{ json }} end) as item
        cross apply openjson(case when item.[type] = 5 then item.[value] end) with (
            {%- for name, column in fields.items() %}
            {{ column }} nvarchar(max) '$.{{ name }}'{{ ',' if objects or not loop.last }}
            {%- endfor %}
            {%- for name, column in objects.items() %}
            {{ column }} nvarchar(max) '$.{{ name }}' as json{{ ',' if not loop.last }}
            {%- endfor %}
        ) as field
    ) as {{ alias }}
{%- endmacro %}

{#- DuckDB reads JSON numbers as floats: in quotes they stay as they were written. It joins laterally unasked, and an
    unnested list, other than json_each, leaves a filter on the table where it belongs. -#}
{% macro duckdb__json_rows(json, alias, fields, objects) -%}
    {%- set types = [] -%}
    {%- for name in fields -%}{%- do types.append('"' ~ name ~ '": "VARCHAR"') -%}{%- endfor -%}
    {%- for name in objects -%}{%- do types.append('"' ~ name ~ '": "JSON"') -%}{%- endfor -%}
    {%- set exact -%}
        regexp_replace({{ json }}, '"({{ fields.keys() | join('|') }})": (-?[0-9][0-9.eE+-]*)', '"\1": "\2"', 'g')
    {%- endset -%}
    {%- set items -%}
        from_json(case when json_valid({{ json }}) then {{ exact }} end, '[{ {{- types | join(', ') -}} }]')
    {%- endset -%}
    cross join (
        select
            items.item_no,
            {%- for name, column in fields.items() %}
            items.item."{{ name }}" as {{ column }}{{ ',' if objects or not loop.last }}
            {%- endfor %}
            {%- for name, column in objects.items() %}
            cast(items.item."{{ name }}" as varchar) as {{ column }}{{ ',' if not loop.last }}
            {%- endfor %}
        from (
            select
                unnest({{ items }}) as item,
                generate_subscripts({{ items }}, 1) as item_no
        ) as items
        where items.item is not null
    ) as {{ alias }}
{%- endmacro %}
