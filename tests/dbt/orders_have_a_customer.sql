{{ config(severity='warn') }}
{#- Headers without customer or number: GP reserves a number that way while an order is typed in. -#}

select orders.document_number as order_number
from {{ ref('stg_gp__sales_orders') }} as orders
inner join {{ ref('int_sales_orders_scoped') }} as scoped
    on orders.company = scoped.company and orders.document_key = scoped.document_key
where orders.document_type = 2 and scoped.scope_reason = 'stub'
