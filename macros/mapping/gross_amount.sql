{% macro gross_amount(line) -%}
    {{ return(adapter.dispatch('gross_amount')(line ~ '.quantity', line ~ '.unit_price')) }}
{%- endmacro %}

{% macro default__gross_amount(quantity, price) -%}
    cast(
        cast(cast(round({{ quantity }}, 0, 1) as decimal(14, 0)) * {{ price }} as decimal(38, 5))
        + cast(cast({{ quantity }} - round({{ quantity }}, 0, 1) as decimal(6, 5)) * {{ price }} as decimal(38, 5))
        as decimal(38, 5)
    )
{%- endmacro %}

{% macro duckdb__gross_amount(quantity, price) -%}
    cast({{ quantity }} * {{ price }} as decimal(38, 5))
{%- endmacro %}
