{% macro sales_lines_of(documents, lines) -%}
    select
        {{ lines }}.*,
        {{ documents }}.sales_territory,
        {{ gross_amount(lines) }} as gross_amount,
        case when {{ lines }}.non_inventory > 0 then 1 else 0 end as is_write_in,
        row_number() over (
            partition by {{ lines }}.company, {{ lines }}.document_key, {{ lines }}.line_sequence
            order by {{ lines }}.row_id
        ) as repeat_number

    from {{ lines }}
    inner join {{ documents }}
        on
            {{ lines }}.company = {{ documents }}.company
            and {{ lines }}.document_type = {{ documents }}.document_type
            and {{ lines }}.document_key = {{ documents }}.document_key
    where {{ lines }}.component_sequence = 0
{%- endmacro %}
