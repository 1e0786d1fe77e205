{#- A chain may lead through so many equivalent units on its way to the base unit. GP's users seldom need three; a loop
    never arrives. -#}
{%- set longest = 8 -%}

with

schedules as (

    select * from {{ ref('int_unit_schedules') }}

),

units as (

    select * from {{ ref('stg_gp__units') }}
    where {{ gp_text('unit') }} is not null

),

links as (

    select
        units.company,
        units.schedule_name,
        units.unit,
        units.sequence_number,
        units.equivalent_unit,
        cast(units.equivalent_quantity as double precision) as factor,
        case
            when {{ gp_key('units.equivalent_unit') }} <> {{ gp_key('schedules.base_unit') }} then null
            when units.base_quantity <> 0 then cast(units.base_quantity as double precision)
            when units.equivalent_quantity <> 0 then cast(units.equivalent_quantity as double precision)
        end as quantity

    from units
    inner join schedules
        on
            {{ gp_key('units.schedule_name') }} = {{ gp_key('schedules.schedule_name') }}
            and {{ same_company('units', 'schedules') }}
    where {{ gp_key('units.unit') }} <> {{ gp_key('schedules.base_unit') }}

),

chains as (

    select
        link_0.company,
        link_0.schedule_name,
        link_0.unit,
        link_0.sequence_number,
        case
            {%- for step in range(longest) %}
            when link_{{ step }}.quantity is not null then {{ step }}
            {%- endfor %}
        end as steps,
        case
            {%- for step in range(longest) %}
            when link_{{ step }}.quantity is not null
                then {% for before in range(step) %}link_{{ before }}.factor * {% endfor %}link_{{ step }}.quantity
            {%- endfor %}
        end as quantity

    from links as link_0
    {%- for step in range(1, longest) %}
    left join links as link_{{ step }}
        on
            link_{{ step - 1 }}.quantity is null
            and link_{{ step - 1 }}.factor <> 0
            and {{ gp_key('link_' ~ (step - 1) ~ '.schedule_name') }} = {{ gp_key('link_' ~ step ~ '.schedule_name') }}
            and {{ gp_key('link_' ~ (step - 1) ~ '.equivalent_unit') }} = {{ gp_key('link_' ~ step ~ '.unit') }}
            and {{ same_company('link_' ~ (step - 1), 'link_' ~ step) }}
    {%- endfor %}

),

ranked as (

    select
        chains.*,
        row_number() over (
            partition by {{ code_key('chains.schedule_name') }}, {{ code_key('chains.unit') }}
            order by case when chains.quantity is null then 1 else 0 end, chains.steps, chains.sequence_number
        ) as repeat_number

    from chains

),

final as (

    select
        schedules.company,
        schedules.schedule_name,
        schedules.base_unit as unit,
        1 as is_base,
        cast(1 as decimal(19, 5)) as quantity

    from schedules
    where {{ gp_text('schedules.base_unit') }} is not null

    union all

    select
        ranked.company,
        ranked.schedule_name,
        ranked.unit,
        0 as is_base,
        case when abs(ranked.quantity) < 1e14 then cast(ranked.quantity as decimal(19, 5)) end as quantity

    from ranked
    where ranked.repeat_number = 1

)

select * from final
