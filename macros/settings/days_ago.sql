{% macro days_ago(days) -%}
    {{ return(adapter.dispatch('days_ago')(days)) }}
{%- endmacro %}

{% macro default__days_ago(days) -%}
    dateadd(day, -{{ days }}, cast(getdate() as date))
{%- endmacro %}

{% macro duckdb__days_ago(days) -%}
    (current_date - {{ days }})
{%- endmacro %}
