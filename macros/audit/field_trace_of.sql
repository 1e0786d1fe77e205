{% macro field_trace_of(model_name, trace, table, row_table, key, line_key, is_ended, sought_by, taken_by) -%}
    {%- set fields = mapped_fields(model_name, trace | map(attribute='table') | list) -%}
    {%- set types = {} -%}
    {%- for column in crm_mapping()[model_name].columns -%}
        {%- do types.update({column.name: type_family(column.data_type)}) -%}
    {%- endfor -%}
    {%- set leads_on = [1] -%}
    {%- for joined in trace -%}
        {%- for value in joined.on.values() if value is string and '.' in value and not value.startswith("'") -%}
            {%- do leads_on.append(trace_number(trace, value, '')) -%}
        {%- endfor -%}
    {%- endfor -%}
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
            when 0 then {{ as_text('null', 'varchar') }}
            {%- for field in fields if field.gp_column %}
            when {{ field.number }} then {{ as_text(traced_column(trace, field.gp_column, field.column.name), field.gp_type) }}
            {%- endfor %}
        end as gp_value,
        fields.mapping_rule,
        {{ staged_value_of_field(fields) }} as staged_value

    from (
        select staged.*
        {{ from_staged(model_name, table, key, is_ended) | indent(8) }}
        {%- for other in taken_by %}
            and not exists (
                select 1
                from {{ ref(other.name) }} as taken
                where {{ folded(record_key(other, 'taken')) }} = {{ folded(key) }}
            )
        {%- endfor %}
    ) as staged
    {%- for joined in trace if trace.index(joined) + 1 in leads_on %}
    left join (
        {{ trace_rows(joined) | indent(8) }}
    ) as gp_{{ trace.index(joined) + 1 }}
        on {{ trace_condition(trace, joined, types, sought_by) }}
    {%- endfor %}
    cross join (
        {{ field_list(fields) | indent(8) }}
    ) as fields
    {#- Only the fields that are made of a table have a row for each of its rows. #}
    {%- for joined in trace if trace.index(joined) + 1 not in leads_on %}
    {%- set number = trace.index(joined) + 1 %}
    {%- set own = [] %}
    {%- for field in fields if field.gp_column and trace_number(trace, field.gp_column, field.column.name) == number -%}
        {%- do own.append(field.number) -%}
    {%- endfor %}
    left join (
        {{ trace_rows(joined) | indent(8) }}
    ) as gp_{{ number }}
        on
            fields.field_no in ({{ own | join(', ') or 'null' }})
            and {{ trace_condition(trace, joined, types, sought_by) }}
    {%- endfor %}
{%- endmacro %}
