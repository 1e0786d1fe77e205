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
        cast({{ gp_text('schedules.schedule_name') }} as varchar(200)) as uomscheduleid,
        cast({{ gp_text('units.unit') }} as varchar(100)) as name,
        cast(units.is_base as smallint) as name__is_base,
        cast(case when units.is_base = 0 then units.quantity end as decimal(19, 5)) as quantity,
        cast(case
            when units.is_base = 0 then {{ gp_text('schedules.base_unit') }}
        end as varchar(100)) as baseuom

    from units
    inner join schedules
        on
            {{ gp_key('units.schedule_name') }} = {{ gp_key('schedules.schedule_name') }}
            and {{ same_company('units', 'schedules') }}

)

select * from final
