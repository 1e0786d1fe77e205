with

invoices as (

    select * from {{ ref('int_invoices') }}

),

lines as (

    select * from {{ ref('stg_gp__sales_line_history') }}
    where component_sequence = 0

),

figures as (

    select
        {{ own_collation('invoices.document_name') }} as invoice_number,
        {{ own_collation('invoices.customer_number') }} as customer_number,
        invoices.subtotal,
        invoices.tax_amount,
        invoices.document_amount,
        invoices.miscellaneous_amount,
        {{ parts_amount('invoices') }} as parts_amount,
        count(lines.document_key) as line_count,
        coalesce(sum(cast(lines.extended_price as decimal(38, 5))), 0) as lines_extended_price,
        coalesce(sum(cast(lines.tax_amount as decimal(38, 5))), 0) as lines_tax

    from invoices
    left join lines
        on
            invoices.company = lines.company
            and invoices.document_type = lines.document_type
            and invoices.document_key = lines.document_key
    group by
        invoices.company,
        invoices.document_key,
        invoices.document_name,
        invoices.customer_number,
        invoices.subtotal,
        invoices.trade_discount_amount,
        invoices.freight_amount,
        invoices.miscellaneous_amount,
        invoices.tax_amount,
        invoices.document_amount

),

sent as (

    select
        {{ folded('crm_invoice.name') }} as invoice_key,
        count(crm_invoicedetail.lineitemnumber) as sent_line_count,
        coalesce(sum(crm_invoicedetail.baseamount - crm_invoicedetail.manualdiscountamount), 0) as sent_lines_amount,
        crm_invoice.discountamount as sent_discount,
        crm_invoice.freightamount as sent_freight,
        crm_invoice.totaltax as sent_tax

    from {{ ref('crm_invoice') }} as crm_invoice
    left join {{ ref('crm_invoicedetail') }} as crm_invoicedetail
        on {{ folded('crm_invoice.name') }} = {{ folded('crm_invoicedetail.invoiceid') }}
    group by
        {{ folded('crm_invoice.name') }},
        crm_invoice.discountamount,
        crm_invoice.freightamount,
        crm_invoice.totaltax

),

compared as (

    select
        figures.invoice_number,
        figures.customer_number,

        ---------- header against lines
        figures.line_count,
        figures.subtotal,
        figures.lines_extended_price,
        cast(figures.subtotal - figures.lines_extended_price as decimal(38, 5)) as subtotal_difference,
        figures.tax_amount,
        figures.lines_tax,
        cast(figures.tax_amount - figures.lines_tax as decimal(38, 5)) as tax_difference,

        ---------- the header's total against its parts
        figures.document_amount,
        figures.miscellaneous_amount,
        figures.parts_amount,
        cast(figures.document_amount - figures.parts_amount as decimal(38, 5)) as document_difference,

        ---------- what is sent
        sent.sent_line_count,
        cast(sent.sent_lines_amount as decimal(38, 5)) as sent_lines_amount,
        sent.sent_discount,
        sent.sent_freight,
        sent.sent_tax,
        cast(
            sent.sent_lines_amount - sent.sent_discount + sent.sent_freight + sent.sent_tax as decimal(38, 5)
        ) as sent_total,
        cast(
            figures.document_amount - sent.sent_lines_amount + sent.sent_discount - sent.sent_freight - sent.sent_tax
            as decimal(38, 5)
        ) as sent_difference

    from figures
    left join sent on {{ folded('figures.invoice_number') }} = sent.invoice_key

),

judged as (

    select
        *,
        case when subtotal_difference = 0 and document_difference = 0 then 1 else 0 end as is_balanced,
        case when sent_difference = 0 and sent_line_count = line_count then 1 else 0 end as is_sent_whole

    from compared

),

final as (

    select * from judged
    where is_balanced = 0 or is_sent_whole = 0

)

select * from final
