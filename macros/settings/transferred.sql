{% macro transferred() -%}
    {{ return(setting('transferred', ['fully', 'partly'])) }}
{%- endmacro %}
