{#- GP writes a date of the year 1900 for "no date" (spec: YEAR, GP 1900 Null Date Handling). GP's dates have no time of
    day; a `date` cannot have one either (spec: CONVERTDATETIME). -#}
{% macro gp_date(column) -%}
    case when year({{ column }}) <> 1900 then cast({{ column }} as date) end
{%- endmacro %}
