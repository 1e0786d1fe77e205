{#- A list of selects for audit_field_trace, one for each crm model that says in its config how its rows are found in GP:
    `meta: {trace: [{table: IV40201, on: {UOMSCHDL: name}}]}`. `on` gives each key column of the GP table the column of the
    crm model that it equals, the column of a GP table above (SOP10100.CUSTNMBR), or a number. Where two entries name
    the same table, the one with `columns: address2_` is that of the CRM columns whose names begin so. -#}
{% macro field_traces() -%}
    {%- set selects = [] -%}
    {%- for model in audited_models() -%}
        {%- if model.trace -%}
            {%- do selects.append(field_trace_of(
                model.name, model.trace, model.table, model.table, record_key(model, 'staged'),
                own_collation('cast(null as varchar(300))'), model.is_ended
            )) -%}
        {%- endif -%}
        {%- if model.child and model.child.get('trace') -%}
            {%- set lines = {'match_on': model.meta.children.match_on, 'columns': model.child.columns} -%}
            {%- do selects.append(field_trace_of(
                model.child.name, model.child.trace, model.table, model.child.meta.table, line_parent(model, 'staged'),
                own_collation('cast(' ~ line_key(lines, 'staged') ~ ' as varchar(300))'), model.is_ended
            )) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(selects) }}
{%- endmacro %}

{% macro field_trace_of(model_name, trace, table, row_table, key, line_key, is_ended) -%}
    {%- set fields = mapped_fields(model_name, trace | map(attribute='table') | list) -%}
    select
        '{{ table }}' as crm_table,
        {{ key }} as record_key,
        '{{ 'header' if table == row_table else 'line' }}' as part,
        '{{ row_table }}' as row_table,
        {{ line_key }} as line_key,
        fields.field_no,
        fields.crm_column,
        fields.is_sent,
        fields.gp_column,
        case fields.field_no
            when 0 then null
            {%- for field in fields if field.gp_column %}
            when {{ field.number }} then {{ as_text(traced_column(trace, field.gp_column, field.column.name), field.gp_type) }}
            {%- endfor %}
        end as gp_value,
        fields.mapping_rule,
        {{ staged_value_of_field(fields) }} as staged_value

    from (
        select staged.*
        {{ from_staged(model_name, table, key, is_ended) | indent(8) }}
    ) as staged
    {%- for joined in trace %}
    {%- set number = loop.index %}
    left join (
        {{ gp_rows(joined.table) | indent(8) }}
    ) as gp_{{ number }}
        on
            {%- for column, value in joined.on.items() %}
            {{ 'and ' if not loop.first }}
            {%- if value is number -%}
                gp_{{ number }}.{{ column }} = {{ value }}
            {%- elif '.' in value -%}
                {{ folded('gp_' ~ number ~ '.' ~ column) }} = {{ folded(traced_column(trace, value, '')) }}
            {%- else -%}
                {{ folded('gp_' ~ number ~ '.' ~ column) }} = {{ folded('staged.' ~ value) }}
            {%- endif -%}
            {%- endfor %}
            {{- ' and gp_' ~ number ~ '.company = gp_1.company' if number > 1 }}
    {%- endfor %}
    cross join (
        {{ field_list(fields) | indent(8) }}
    ) as fields
{%- endmacro %}

{#- A GP column as it is called in the joins of `trace`. -#}
{% macro traced_column(trace, gp_column, crm_column) -%}
    {%- set table, column = gp_column.split('.') -%}
    {%- set found = namespace(number=none) -%}
    {%- for joined in trace if joined.table == table -%}
        {%- set prefix = joined.get('columns') -%}
        {%- if (prefix and crm_column.startswith(prefix)) or (not prefix and found.number is none) -%}
            {%- set found.number = loop.index0 -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set numbers = [] -%}
    {%- for joined in trace -%}{%- do numbers.append(loop.index) if joined.table == table -%}{%- endfor -%}
    {{ return('gp_' ~ numbers[found.number or 0] ~ '.' ~ column) }}
{%- endmacro %}
