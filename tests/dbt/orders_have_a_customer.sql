{{ config(severity='warn') }}
{#- Headers without customer or number: GP reserves a number that way while an order is typed in. -#}

select document_number as order_number
from {{ ref('int_sales_orders_scoped') }}
where scope_reason = 'stub'
