{% macro json_pairs(json) -%}
    {{ return(adapter.dispatch('json_pairs')(json)) }}
{%- endmacro %}

{% macro default__json_pairs(json) -%}
    (
        select string_agg(
            concat(pair.[key] collate database_default, ' = ', pair.[value] collate database_default), ', '
        ) within group (order by pair.[key])
        from openjson(case when isjson({{ json }}) = 1 then {{ json }} end) as pair
    )
{%- endmacro %}

{% macro duckdb__json_pairs(json) -%}
    (
        select array_to_string(list_sort(list(concat(pair."key", ' = ', json_extract_string(pair.value, '$')))), ', ')
        from json_each(case when json_valid({{ json }}) then {{ json }} end) as pair
    )
{%- endmacro %}
