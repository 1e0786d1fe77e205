with

schedules as (

    select * from {{ ref('stg_gp__unit_schedules') }}
    where schedule_name is not null

),

ranked as (

    select
        schedules.*,
        row_number() over (
            partition by {{ folded('schedules.schedule_name') }}
            order by {{ company_rank('schedules') }} schedules.schedule_name
        ) as repeat_number

    from schedules

),

final as (

    select
        company,
        schedule_name,
        schedule_key,
        base_unit,
        base_unit_key,
        description

    from ranked
    where repeat_number = 1

)

select * from final
