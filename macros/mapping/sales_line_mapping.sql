{% macro sales_line_mapping(lines) -%}
    select
        {{ caller() | trim }}

        ---------- product or write-in
        cast({{ lines }}.is_write_in as smallint) as isproductoverridden,
        cast(case when {{ lines }}.is_write_in = 0 then {{ lines }}.item_number end as varchar(100)) as productid,
        cast(case
            when {{ lines }}.is_write_in = 1 then coalesce({{ lines }}.item_description, {{ lines }}.item_number)
        end as varchar(500)) as productdescription,
        cast(case when {{ lines }}.is_write_in = 0 then {{ lines }}.unit_of_measure end as varchar(100)) as uomid,
        cast(case when {{ lines }}.is_write_in = 0 then items.unit_schedule end as varchar(200)) as uomid__schedule,

        ---------- quantity and amounts
        cast({{ lines }}.quantity as decimal(19, 5)) as quantity,
        cast(1 as smallint) as ispriceoverridden,
        cast({{ lines }}.unit_price as decimal(19, 5)) as priceperunit,
        {%- if amounts() == 'reconciled' %}
        cast({{ lines }}.extended_price + {{ discount_amount(lines) }} as decimal(38, 5)) as baseamount,
        cast({{ discount_amount(lines) }} as decimal(38, 5)) as manualdiscountamount,
        {%- else %}
        cast({{ lines }}.extended_price as decimal(38, 5)) as baseamount,
        cast({{ lines }}.markdown_amount as decimal(38, 5)) as manualdiscountamount,
        {%- endif %}
        cast({{ lines }}.tax_amount as decimal(19, 5)) as tax,
        cast({{ lines }}.extended_price + {{ lines }}.tax_amount as decimal(38, 5)) as extendedamount,

        ---------- ship-to
        {{ ship_to_mapping(lines) }},

        ---------- people
        cast({{ lines }}.sales_territory as varchar(100)) as salesrepid

    from {{ lines }}
    left join {{ ref('stg_gp__items') }} as items
        on {{ lines }}.company = items.company and {{ lines }}.item_key = items.item_key
    where {{ lines }}.repeat_number = 1
{%- endmacro %}
