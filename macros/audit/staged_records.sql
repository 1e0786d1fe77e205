{% macro staged_records(table) -%}
    select
        ranked.*,
        {{ folded('ranked.record_key') }} as match_key
    from (
        select
            records.*,
            rank() over (partition by {{ folded('records.record_key') }} order by records.is_ended) as choice
        from (
            {%- for model in table.models %}
            {%- set unless = model.meta.get('create_unless', {}).get('column') %}
            select
                {{ record_key(model, 'staged') }} as record_key,
                {{ loop.index }} as model_no,
                {{ 1 if model.is_ended else 0 }} as is_ended,
                {{ 'case when staged.' ~ unless ~ ' <> 0 then 1 else 0 end' if unless else '0' }} as is_not_created,
                {{- all_columns(table.columns, model.columns) | indent(8) }}
            {{ from_staged(model.name, table.table, record_key(model, 'staged'), model.is_ended) | indent(12) }}
            {{ 'union all' if not loop.last }}
            {%- endfor %}
        ) as records
    ) as ranked
    where ranked.choice = 1
{%- endmacro %}
