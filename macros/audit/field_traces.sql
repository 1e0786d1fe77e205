{% macro field_traces() -%}
    {%- set selects = [] -%}
    {%- for model in audited_models() -%}
        {%- set taken_by = [] -%}
        {%- for other in audited_models() if model.is_ended and other.table == model.table and not other.is_ended -%}
            {%- do taken_by.append(other) -%}
        {%- endfor -%}
        {%- if model.trace is not none -%}
            {%- do selects.append(field_trace_of(
                model.name, model.trace, model.table, model.table, record_key(model, 'staged'),
                own_collation('cast(null as ' ~ text_type(300) ~ ')'), model.is_ended, model.meta.get('sought_by'), taken_by
            )) -%}
        {%- endif -%}
        {%- if model.child and model.child.get('trace') is not none -%}
            {%- set lines = {'match_on': model.meta.children.match_on, 'columns': model.child.columns} -%}
            {%- do selects.append(field_trace_of(
                model.child.name, model.child.trace, model.table, model.child.meta.table, line_parent(model, 'staged'),
                own_collation('cast(' ~ line_key(lines, 'staged') ~ ' as ' ~ text_type(300) ~ ')'), model.is_ended,
                model.meta.get('sought_by'), taken_by
            )) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(selects) }}
{%- endmacro %}
