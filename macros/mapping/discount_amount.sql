{#- What XTNDPRCE of a line is less than its gross amount; the line is a relation with gross_amount, extended_price and
    markdown_amount. GP rounds XTNDPRCE to its currency: half a cent either way, and up to a half above the gross amount
    where XTNDPRCE is whole (of yen), is no discount but rounding. Where GP has a markdown, half a cent less is one. -#}
{% macro discount_amount(line) -%}
    {%- set difference = line ~ '.gross_amount - ' ~ line ~ '.extended_price' -%}
    case
        when {{ difference }} between -0.005 and 0 then 0
        when {{ difference }} between 0 and 0.005 and {{ line }}.markdown_amount = 0 then 0
        when {{ difference }} between -0.5 and 0 and floor({{ line }}.extended_price) = {{ line }}.extended_price then 0
        else {{ difference }}
    end
{%- endmacro %}
