with

schedules as (

    select * from {{ ref('int_unit_schedules') }}

),

units as (

    select * from {{ ref('int_units') }}
    where quantity is not null

),

final as (

    select
        cast(schedules.schedule_name as varchar(200)) as uomscheduleid,
        cast(units.unit as varchar(100)) as name,
        cast(units.is_base as smallint) as name__is_base,
        cast(case when units.is_base = 0 then units.quantity end as decimal(19, 5)) as quantity,
        cast(case
            when units.is_base = 0 then schedules.base_unit
        end as varchar(100)) as baseuom

    from units
    inner join schedules on units.company = schedules.company and units.schedule_key = schedules.schedule_key

)

select * from final
