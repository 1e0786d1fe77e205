{% macro discount_amount(line) -%}
    {%- set difference = line ~ '.gross_amount - ' ~ line ~ '.extended_price' -%}
    case
        when {{ difference }} between -0.005 and 0 then 0
        when {{ difference }} between 0 and 0.005 and {{ line }}.markdown_amount = 0 then 0
        when {{ difference }} between -0.5 and 0 and floor({{ line }}.extended_price) = {{ line }}.extended_price then 0
        else {{ difference }}
    end
{%- endmacro %}
