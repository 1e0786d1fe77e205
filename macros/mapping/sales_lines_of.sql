{#- A select: the sales lines of documents, without the components of kits, and what sales_line_mapping() needs of them:
    the document's sales territory, the gross amount, whether the line is a write-in, and which of several rows of one
    line it is. `lines` is a relation with the columns of stg_gp__sales_order_lines, `documents` one with those of
    stg_gp__sales_orders. -#}
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
