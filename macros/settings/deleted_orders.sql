{% macro deleted_orders() -%}
    {{ return(setting('deleted_orders', ['leave', 'cancel'])) }}
{%- endmacro %}
