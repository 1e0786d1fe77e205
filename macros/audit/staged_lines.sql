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
