{% macro transferred_as() -%}
    {{ return(setting('transferred_as', ['fulfilled', 'invoiced'])) }}
{%- endmacro %}
