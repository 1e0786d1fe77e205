{% macro amounts() -%}
    {{ return(setting('amounts', ['spec', 'reconciled'])) }}
{%- endmacro %}
