{% macro field_traces() -%}
    {%- set selects = [] -%}
    {%- for model in audited_models() -%}
        {%- if model.trace -%}
            {%- do selects.append(field_trace_of(
                model.name, model.trace, model.table, model.table, record_key(model, 'staged'),
                own_collation('cast(null as ' ~ text_type(300) ~ ')'), model.is_ended
            )) -%}
        {%- endif -%}
        {%- if model.child and model.child.get('trace') -%}
            {%- set lines = {'match_on': model.meta.children.match_on, 'columns': model.child.columns} -%}
            {%- do selects.append(field_trace_of(
                model.child.name, model.child.trace, model.table, model.child.meta.table, line_parent(model, 'staged'),
                own_collation('cast(' ~ line_key(lines, 'staged') ~ ' as ' ~ text_type(300) ~ ')'), model.is_ended
            )) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(selects) }}
{%- endmacro %}
