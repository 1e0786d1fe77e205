with

invoices as (

    select * from {{ ref('int_invoices') }}

),

final as (

    {% call sales_header_mapping('invoices') %}
        ---------- keys
        cast(invoices.document_name as varchar(300)) as name,
        cast(invoices.document_name as varchar(100)) as invoicenumber,
        cast(invoices.order_name as varchar(300)) as salesorderid,

        ---------- dates, UTC
        {{ gp_local_to_utc('invoices.actual_ship_date') }} as datedelivered,
        {{ gp_local_to_utc('invoices.due_date') }} as duedate,

        ---------- status
        cast(case invoices.payment_status
            when 'voided' then 3
            when 'paid' then 2
            when 'partly paid' then 2
            else 0
        end as int) as statecode,
        cast(case invoices.payment_status
            when 'voided' then 100003
            when 'paid' then 100001
            when 'partly paid' then 100002
            else 4
        end as int) as statuscode,
    {% endcall %}

)

select * from final
