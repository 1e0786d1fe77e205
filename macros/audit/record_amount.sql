{% macro record_amount(model, relation) -%}
    {%- set amount = model.meta.get('amount') -%}
    cast({{ relation ~ '.' ~ amount if amount else 'null' }} as decimal(38, 5))
{%- endmacro %}
