{% macro seconds_between(earlier, later) -%}
    {{ return(adapter.dispatch('seconds_between')(earlier, later)) }}
{%- endmacro %}

{% macro default__seconds_between(earlier, later) -%}
    cast(datediff_big(millisecond, {{ earlier }}, {{ later }}) / 1000.0 as decimal(19, 3))
{%- endmacro %}

{% macro duckdb__seconds_between(earlier, later) -%}
    cast(date_diff('millisecond', {{ earlier }}, {{ later }}) / 1000.0 as decimal(19, 3))
{%- endmacro %}
