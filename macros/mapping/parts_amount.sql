{% macro parts_amount(document) -%}
    cast(
        {{ document }}.subtotal - {{ document }}.trade_discount_amount + {{ document }}.freight_amount
        + {{ document }}.miscellaneous_amount + {{ document }}.tax_amount as decimal(38, 5)
    )
{%- endmacro %}
