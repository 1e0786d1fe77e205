{#- The money of a staged record (meta.crm.amount), null where its table has none. -#}
{% macro record_amount(model, relation) -%}
    {%- set amount = model.meta.get('amount') -%}
    cast({{ relation ~ '.' ~ amount if amount else 'null' }} as decimal(38, 5))
{%- endmacro %}
