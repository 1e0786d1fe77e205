with

orders as (

    select * from {{ ref('int_sales_orders_open') }}

),

lines as (

    select * from {{ ref('stg_gp__sales_order_lines') }}
    where document_type = 2 and component_sequence = 0

),

items as (

    select * from {{ ref('stg_gp__items') }}

),

numbered as (

    select
        lines.*,
        orders.sales_territory,
        {{ gross_amount('lines') }} as gross_amount,
        case when lines.non_inventory > 0 then 1 else 0 end as is_write_in,
        row_number() over (
            partition by lines.company, lines.document_key, lines.line_sequence
            order by lines.row_id
        ) as repeat_number

    from lines
    inner join orders on lines.company = orders.company and lines.document_key = orders.document_key

),

final as (

    select
        ---------- keys
        cast(numbered.document_name as varchar(300)) as salesorderid,
        cast(numbered.line_sequence as int) as lineitemnumber,

        ---------- product or write-in
        cast(numbered.is_write_in as smallint) as isproductoverridden,
        cast(case
            when numbered.is_write_in = 0 then numbered.item_number
        end as varchar(100)) as productid,
        cast(case
            when numbered.is_write_in = 1
                then coalesce(numbered.item_description, numbered.item_number)
        end as varchar(500)) as productdescription,
        cast(case
            when numbered.is_write_in = 0 then numbered.unit_of_measure
        end as varchar(100)) as uomid,
        cast(case
            when numbered.is_write_in = 0 then items.unit_schedule
        end as varchar(200)) as uomid__schedule,

        ---------- quantity and amounts
        cast(numbered.quantity as decimal(19, 5)) as quantity,
        cast(1 as smallint) as ispriceoverridden,
        cast(numbered.unit_price as decimal(19, 5)) as priceperunit,
        {%- if amounts() == 'reconciled' %}
        cast(numbered.extended_price + {{ discount_amount('numbered') }} as decimal(38, 5)) as baseamount,
        cast({{ discount_amount('numbered') }} as decimal(38, 5)) as manualdiscountamount,
        {%- else %}
        cast(numbered.extended_price as decimal(38, 5)) as baseamount,
        cast(numbered.markdown_amount as decimal(38, 5)) as manualdiscountamount,
        {%- endif %}
        cast(numbered.tax_amount as decimal(19, 5)) as tax,
        cast(numbered.extended_price + numbered.tax_amount as decimal(38, 5)) as extendedamount,

        ---------- ship-to
        cast(numbered.shipping_method as varchar(200)) as shipto_name,
        cast(numbered.ship_to_line1 as varchar(250)) as shipto_line1,
        cast(numbered.ship_to_line2 as varchar(250)) as shipto_line2,
        cast(numbered.ship_to_line3 as varchar(250)) as shipto_line3,
        cast(numbered.ship_to_city as varchar(80)) as shipto_city,
        cast(numbered.ship_to_state as varchar(50)) as shipto_stateorprovince,
        cast(numbered.ship_to_postal_code as varchar(20)) as shipto_postalcode,
        cast(numbered.ship_to_country as varchar(80)) as shipto_country,
        cast({{ phone_from_gp('numbered.ship_to_phone') }} as varchar(50)) as shipto_telephone,
        cast({{ phone_from_gp('numbered.ship_to_fax') }} as varchar(50)) as shipto_fax,

        ---------- dates, UTC
        {{ gp_local_to_utc('numbered.requested_ship_date', days=1) }} as requestdeliveryby,

        ---------- people
        cast(numbered.sales_territory as varchar(100)) as salesrepid

    from numbered
    left join items on numbered.company = items.company and numbered.item_key = items.item_key
    where numbered.repeat_number = 1

)

select * from final
