{% macro last_day_before(days) -%}
    {{ return((modules.datetime.date(9999, 12, 31) - modules.datetime.timedelta(days=days)).isoformat()) }}
{%- endmacro %}
