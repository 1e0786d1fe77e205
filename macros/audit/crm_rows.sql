{% macro crm_rows(table, columns) -%}
    {{ return(adapter.dispatch('crm_rows')(table, columns)) }}
{%- endmacro %}

{% macro default__crm_rows(table, columns) -%}
    select
        snapshot.record_key,
        {{ folded('snapshot.record_key') }} as match_key,
        snapshot.crm_id,
        snapshot.parent_crm_id,
        field.*
    from {{ ref('crm_snapshot_record') }} as snapshot
    cross apply openjson(case when isjson(snapshot.content) = 1 then snapshot.content end) with (
        {%- for column in columns %}
        {{ column.name }} {{ crm_type(column.data_type) }} '$.{{ column.name }}'{{ ',' if not loop.last }}
        {%- endfor %}
    ) as field
    where snapshot.crm_table = '{{ table }}'
{%- endmacro %}

{% macro duckdb__crm_rows(table, columns) -%}
    {%- set types = [] -%}
    {%- for column in columns -%}{%- do types.append('"' ~ column.name ~ '": "' ~ column.data_type ~ '"') -%}{%- endfor -%}
    select
        snapshot.record_key,
        {{ folded('snapshot.record_key') }} as match_key,
        snapshot.crm_id,
        snapshot.parent_crm_id,
        unnest(from_json(snapshot.content, '{ {{- types | join(', ') -}} }'))
    from {{ ref('crm_snapshot_record') }} as snapshot
    where snapshot.crm_table = '{{ table }}'
{%- endmacro %}
