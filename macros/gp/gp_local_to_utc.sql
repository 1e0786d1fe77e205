{#- Where clocks change at midnight, a day may have no midnight or two, which databases read differently. So midnight is
    reckoned from the noons beside it: twelve hours after the one, twelve before the other. The two differ only around a
    clock change; then the earlier one counts, unless local clocks still show the day before. `days` is added to the local
    date first (spec: DATEADD), so a clock change never moves the day. -#}
{% macro gp_local_to_utc(local_date, days=0) -%}
    {{ return(adapter.dispatch('gp_local_to_utc')(local_date, days)) }}
{%- endmacro %}

{% macro default__gp_local_to_utc(local_date, days) -%}
    {%- set zone = gp_time_zone("windows") -%}
    {%- set day = 'dateadd(day, ' ~ days ~ ', ' ~ local_date ~ ')' if days else local_date -%}
    (
        select
            case
                when noons.from_before = noons.from_after then noons.from_before
                when
                    noons.from_before < noons.from_after
                    and cast(noons.from_before at time zone 'UTC' at time zone '{{ zone }}' as datetime2(0))
                    < noons.midnight
                    then noons.from_after
                when
                    noons.from_after < noons.from_before
                    and cast(noons.from_after at time zone 'UTC' at time zone '{{ zone }}' as datetime2(0))
                    >= noons.midnight
                    then noons.from_after
                else noons.from_before
            end
        from (
            select
                starts.midnight,
                dateadd(hour, 12, cast(switchoffset(
                    dateadd(hour, -12, starts.midnight) at time zone '{{ zone }}', '+00:00'
                ) as datetime2(0))) as from_before,
                dateadd(hour, -12, cast(switchoffset(
                    case when starts.midnight < '9999-12-31' then dateadd(hour, 12, starts.midnight) end
                    at time zone '{{ zone }}', '+00:00'
                ) as datetime2(0))) as from_after
            from (
                select
                    case
                        when
                            {{ local_date }} >= '1753-01-01'
                            and {{ local_date }} <= '{{ last_day_before(days) }}'
                            then cast({{ day }} as datetime2(0))
                    end as midnight
            ) as starts
        ) as noons
    )
{%- endmacro %}

{% macro duckdb__gp_local_to_utc(local_date, days) -%}
    {%- set zone = gp_time_zone("iana") -%}
    {%- set day = local_date ~ ' + to_days(' ~ days ~ ')' if days else local_date -%}
    {%- set midnight = 'cast(' ~ day ~ ' as timestamp)' -%}
    {%- set before = "timezone('" ~ zone ~ "', " ~ midnight ~ " - to_hours(12)) + to_hours(12)" -%}
    {%- set after = "timezone('" ~ zone ~ "', " ~ midnight ~ " + to_hours(12)) - to_hours(12)" -%}
    case
        when
            {{ local_date }} >= cast('1753-01-01' as date)
            and {{ local_date }} <= cast('{{ last_day_before(days) }}' as date)
            then timezone('UTC', case
                when {{ before }} = {{ after }} then {{ before }}
                when timezone('{{ zone }}', least({{ before }}, {{ after }})) >= {{ midnight }}
                    then least({{ before }}, {{ after }})
                else greatest({{ before }}, {{ after }})
            end)
    end
{%- endmacro %}
