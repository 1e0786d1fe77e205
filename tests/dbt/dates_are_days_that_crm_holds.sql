{{ config(severity='warn') }}
{#- Document and invoice dates outside 1753-01-01 to 9999-12-30, the days that CRM holds: CRM gets none. -#}

select document_number as order_number, document_date, invoice_date
from {{ ref('stg_gp__sales_orders') }}
where
    document_type = 2
    and (
        document_date < '1753-01-01' or document_date > '9999-12-30'
        or invoice_date < '1753-01-01' or invoice_date > '9999-12-30'
    )
