{{ config(severity='warn') }}
{%- set last = last_day_before(delivery_days()) %}
{#- Requested ship dates so late that there is no day of delivery (var `delivery_days`), or before 1753-01-01, the
    first day that CRM holds: CRM gets none. -#}

with

failing as (

    select document_number as order_number, 0 as line_sequence, requested_ship_date
    from {{ ref('stg_gp__sales_orders') }}
    where document_type = 2 and (requested_ship_date > '{{ last }}' or requested_ship_date < '1753-01-01')

    union all

    select document_number as order_number, line_sequence, requested_ship_date
    from {{ ref('stg_gp__sales_order_lines') }}
    where document_type = 2 and (requested_ship_date > '{{ last }}' or requested_ship_date < '1753-01-01')

)

select * from failing
