{{ config(severity='warn') }}
{#- Open orders whose bill-to address the customer does not have: CRM's bill-to is cleared. -#}

select orders.document_name as order_number, orders.customer_number, orders.bill_to_address_code
from {{ ref('int_sales_orders_open') }} as orders
where
    not exists (
        select 1
        from {{ ref('stg_gp__customer_addresses') }} as addresses
        where
            addresses.company = orders.company
            and addresses.customer_key = orders.customer_key
            and addresses.address_key = orders.bill_to_address_key
    )
