{% macro field_trace_of(model_name, trace, table, row_table, key, line_key, is_ended) -%}
    {%- set fields = mapped_fields(model_name, trace | map(attribute='table') | list) -%}
    {%- set types = {} -%}
    {%- for field in fields -%}
        {%- do types.update({field.column.name: type_family(field.column.data_type)}) -%}
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
            {%- elif value.startswith("'") -%}
                {{ folded('gp_' ~ number ~ '.' ~ column) }} = {{ folded(value) }}
            {%- elif '.' in value -%}
                {{ folded('gp_' ~ number ~ '.' ~ column) }} = {{ folded(traced_column(trace, value, '')) }}
            {%- elif types.get(value, 'text') != 'text' -%}
                gp_{{ number }}.{{ column }} = staged.{{ value }}
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
