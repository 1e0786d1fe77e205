with

schedules as (

    select * from {{ ref('int_unit_schedules') }}

),

final as (

    select
        cast(schedules.schedule_name as varchar(200)) as name,
        cast(schedules.base_unit as varchar(100)) as baseuomname,
        cast(schedules.description as varchar(2000)) as description

    from schedules

)

select * from final
