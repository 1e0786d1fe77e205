{{ config(severity='warn') }}
{#- Open orders whose bill-to address the customer does not have: CRM's bill-to is cleared. -#}

select {{ order_name('orders') }} as order_number, orders.customer_number, orders.bill_to_address_code
from {{ ref('int_sales_orders_scoped') }} as orders
where
    orders.scope_reason = 'open'
    and not exists (
        select 1
        from {{ ref('stg_gp__customer_addresses') }} as addresses
        where
            {{ gp_key('addresses.customer_number') }} = {{ gp_key('orders.customer_number') }}
            and {{ gp_key('addresses.address_code') }} = {{ gp_key('orders.bill_to_address_code') }}
            and {{ same_company('addresses', 'orders') }}
    )
