with

schedules as (

    select * from {{ ref('int_unit_schedules') }}

),

units as (

    select * from {{ ref('stg_gp__units') }}
    where unit is not null

),

links as (

    select
        units.*,
        cast(units.equivalent_quantity as double precision) as factor,
        case
            when units.equivalent_unit_key <> schedules.base_unit_key then null
            when units.base_quantity <> 0 then cast(units.base_quantity as double precision)
            when units.equivalent_quantity <> 0 then cast(units.equivalent_quantity as double precision)
        end as quantity

    from units
    inner join schedules on units.company = schedules.company and units.schedule_key = schedules.schedule_key
    where units.unit_key <> schedules.base_unit_key

),

chains as (

    {{ unit_chains('links', longest=8) }}

),

ranked as (

    select
        chains.*,
        row_number() over (
            partition by chains.company, chains.schedule_key, {{ folded('chains.unit') }}
            order by case when chains.quantity is null then 1 else 0 end, chains.steps, chains.sequence_number
        ) as repeat_number

    from chains

),

final as (

    select
        company,
        schedule_key,
        base_unit as unit,
        1 as is_base,
        cast(1 as decimal(19, 5)) as quantity

    from schedules
    where base_unit is not null

    union all

    select
        company,
        schedule_key,
        unit,
        0 as is_base,
        case when abs(quantity) < 1e14 then cast(quantity as decimal(19, 5)) end as quantity

    from ranked
    where repeat_number = 1

)

select * from final
