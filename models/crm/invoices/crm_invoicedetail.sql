with

invoices as (

    select * from {{ ref('int_invoices') }}

),

lines as (

    select * from {{ ref('stg_gp__sales_line_history') }}

),

invoice_lines as (

    {{ sales_lines_of('invoices', 'lines') }}

),

final as (

    {% call sales_line_mapping('invoice_lines') %}
        ---------- keys
        cast(invoice_lines.document_name as varchar(300)) as invoiceid,
        cast(invoice_lines.line_sequence as int) as lineitemnumber,
    {% endcall %}

)

select * from final
