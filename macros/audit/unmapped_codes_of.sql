{% macro unmapped_codes_of(model_name, table, record_table, codes, key, amount, is_ended) -%}
    select
        '{{ table }}' as crm_table,
        codes.reason,
        codes.crm_column,
        codes.effect,
        case codes.crm_column
            {%- for code in codes %}
            when '{{ code.column.name }}'
                then case when records.{{ code.column.name }} is null then {{ as_text('records.' ~ code.code.name, code.code.data_type) }} end
            {%- endfor %}
        end as gp_code,
        records.audit_key as record_key,
        records.audit_amount as amount

    from (
        select
            staged.*,
            {{ key }} as audit_key,
            {{ amount }} as audit_amount
        {{ from_staged(model_name, record_table, key, is_ended) | indent(8) }}
    ) as records
    cross join (
        {%- for code in codes %}
        select
            '{{ code.reason }}' as reason,
            '{{ code.column.name }}' as crm_column,
            '{{ code.effect }}' as effect
        {{ 'union all' if not loop.last }}
        {%- endfor %}
    ) as codes
{%- endmacro %}
