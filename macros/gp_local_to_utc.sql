{#- Local midnight in GP → the UTC instant CRM stores (spec: LOCAL2UTC). `days` (0 or 1) is added to the local date first
    (spec: DATEADD), so a clock change never moves the day. GP's dates go from 1753-01-01 to 9999-12-31. Any other that a
    copy of its tables may hold is null, and so is the day after the last one; a test warns. -#}
{% macro gp_local_to_utc(local_date, days=0) -%}
    {{ return(adapter.dispatch('gp_local_to_utc')(local_date, days)) }}
{%- endmacro %}

{% macro default__gp_local_to_utc(local_date, days) -%}
    {%- set day = 'dateadd(day, ' ~ days ~ ', ' ~ local_date ~ ')' if days else local_date -%}
    case
        when {{ local_date }} >= '1753-01-01' and {{ local_date }} {{ '<' if days else '<=' }} '9999-12-31'
            then
                cast(
                    cast({{ day }} as datetime2(0))
                    at time zone '{{ gp_time_zone("windows") }}' at time zone 'UTC' as datetime2(0)
                )
    end
{%- endmacro %}

{% macro duckdb__gp_local_to_utc(local_date, days) -%}
    {%- set day = local_date ~ ' + to_days(' ~ days ~ ')' if days else local_date -%}
    case
        when
            {{ local_date }} >= cast('1753-01-01' as date)
            and {{ local_date }} {{ '<' if days else '<=' }} cast('9999-12-31' as date)
            then timezone('UTC', timezone('{{ gp_time_zone("iana") }}', cast({{ day }} as timestamp)))
    end
{%- endmacro %}
