with

items as (

    select * from {{ ref('stg_gp__items') }}
    where item_number is not null

),

schedules as (

    select * from {{ ref('stg_gp__unit_schedules') }}

),

numbered as (

    select
        items.*,
        row_number() over (
            partition by {{ folded('items.item_number') }}
            order by {{ company_rank('items') }} items.item_number
        ) as repeat_number

    from items

),

final as (

    select
        ---------- keys
        cast(numbered.item_number as varchar(100)) as productnumber,

        ---------- text
        cast(coalesce(numbered.item_description, numbered.item_number) as varchar(101)) as name,

        ---------- units
        cast(numbered.unit_schedule as varchar(200)) as defaultuomscheduleid,
        cast(coalesce(numbered.selling_unit, schedules.base_unit) as varchar(100)) as defaultuomid,
        cast(numbered.quantity_decimals - 1 as int) as quantitydecimal,

        ---------- kind
        cast(case
            when numbered.item_type in (1, 2, 3) then 1
            when numbered.item_type = 4 then 2
            when numbered.item_type = 5 then 3
            when numbered.item_type = 6 then 4
        end as int) as producttypecode,
        cast(1 as int) as productstructure,
        cast(cast(numbered.shipping_weight as decimal(19, 5)) / 100 as decimal(19, 5)) as stockweight,

        ---------- status
        cast(case when numbered.inactive = 0 then 0 else 1 end as int) as statecode,
        cast(case when numbered.inactive = 0 then 0 else 1 end as smallint) as statecode__gp_inactive,
        cast(case when numbered.inactive = 0 then 1 else 2 end as int) as statuscode

    from numbered
    left join schedules
        on
            numbered.company = schedules.company
            and numbered.unit_schedule_key = schedules.schedule_key
    where numbered.repeat_number = 1

)

select * from final
