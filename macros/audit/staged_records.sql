{#- A select: the records that the crm models of a table stage (audited_tables()), each of which is read once. Where GP uses
    a key again, the record that may be created is the one that counts. -#}
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

{#- The same of their lines. -#}
{% macro staged_lines(table) -%}
    select
        ranked.*,
        {{ folded('ranked.record_key') }} as match_key
    from (
        select
            lines.*,
            rank() over (partition by {{ folded('lines.record_key') }} order by lines.is_ended) as choice
        from (
            {%- for model in table.lines.models %}
            select
                {{ line_parent(model, 'staged') }} as record_key,
                {{ loop.index }} as model_no,
                {{ 1 if model.is_ended else 0 }} as is_ended,
                {{- all_columns(table.lines.columns, model.child.columns) | indent(8) }}
            {{ from_staged(model.child.name, table.table, line_parent(model, 'staged'), model.is_ended) | indent(12) }}
            {{ 'union all' if not loop.last }}
            {%- endfor %}
        ) as lines
    ) as ranked
    where ranked.choice = 1
{%- endmacro %}
