{{ config(severity='warn') }}
{#- Requested ship dates of 9999-12-31, which no day comes after to deliver on, or before 1753-01-01, the first day that
    CRM holds: CRM gets none. -#}

select document_number as order_number, 0 as line_sequence, requested_ship_date
from {{ ref('stg_gp__sales_orders') }}
where document_type = 2 and (requested_ship_date > '9999-12-30' or requested_ship_date < '1753-01-01')

union all

select document_number as order_number, line_sequence, requested_ship_date
from {{ ref('stg_gp__sales_order_lines') }}
where document_type = 2 and (requested_ship_date > '9999-12-30' or requested_ship_date < '1753-01-01')
