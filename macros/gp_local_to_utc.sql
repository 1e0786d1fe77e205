{#- Local midnight in GP → the UTC instant CRM stores (spec: LOCAL2UTC). `days` (0 or 1) is added to the local date first
    (spec: DATEADD), so a clock change never moves the day. There is no day after 9999-12-31: null, and a test warns. -#}
{% macro gp_local_to_utc(local_date, days=0) -%}
    {{ return(adapter.dispatch('gp_local_to_utc')(local_date, days)) }}
{%- endmacro %}

{% macro default__gp_local_to_utc(local_date, days) -%}
    {%- set day -%}
        {%- if days -%}
            dateadd(day, {{ days }}, case when {{ local_date }} < '9999-12-31' then {{ local_date }} end)
        {%- else -%}
            {{ local_date }}
        {%- endif -%}
    {%- endset -%}
    cast(
        cast({{ day }} as datetime2(0))
        at time zone '{{ gp_time_zone("windows") }}' at time zone 'UTC' as datetime2(0)
    )
{%- endmacro %}

{% macro duckdb__gp_local_to_utc(local_date, days) -%}
    {%- set day -%}
        {%- if days -%}
            case when {{ local_date }} < cast('9999-12-31' as date) then {{ local_date }} + to_days({{ days }}) end
        {%- else -%}
            {{ local_date }}
        {%- endif -%}
    {%- endset -%}
    timezone('UTC', timezone('{{ gp_time_zone("iana") }}', cast({{ day }} as timestamp)))
{%- endmacro %}
