with

schedules as (

    select * from {{ ref('stg_gp__unit_schedules') }}
    where {{ gp_text('schedule_name') }} is not null

),

ranked as (

    select
        schedules.*,
        row_number() over (
            partition by {{ code_key('schedules.schedule_name') }}
            order by {{ company_rank('schedules') }} schedules.schedule_name
        ) as repeat_number

    from schedules

),

final as (

    select
        company,
        schedule_name,
        base_unit,
        description

    from ranked
    where repeat_number = 1

)

select * from final
