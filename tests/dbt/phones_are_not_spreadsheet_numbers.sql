{{ config(severity='warn') }}
{#- Phones such as 6.03556E+13: a spreadsheet has eaten the digits, CRM gets none. -#}

with

phones as (

    select 'order' as belongs_to, document_number as number, ship_to_phone as phone
    from {{ ref('stg_gp__sales_orders') }}
    union all
    select 'order' as belongs_to, document_number as number, ship_to_fax as phone
    from {{ ref('stg_gp__sales_orders') }}
    union all
    select 'order line' as belongs_to, document_number as number, ship_to_phone as phone
    from {{ ref('stg_gp__sales_order_lines') }}
    union all
    select 'order line' as belongs_to, document_number as number, ship_to_fax as phone
    from {{ ref('stg_gp__sales_order_lines') }}
    union all
    select 'customer' as belongs_to, customer_number as number, phone
    from {{ ref('stg_gp__customer_addresses') }}
    union all
    select 'customer' as belongs_to, customer_number as number, fax as phone
    from {{ ref('stg_gp__customer_addresses') }}

),

failing as (

    select distinct belongs_to, number, phone
    from phones
    where upper(phone) like '%E+%' and {{ phone_from_gp('phone') }} is null

)

select * from failing
