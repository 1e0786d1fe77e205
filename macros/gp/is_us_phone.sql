{% macro is_us_phone(phone) -%}
    {{ return(adapter.dispatch('is_us_phone')(phone)) }}
{%- endmacro %}

{% macro default__is_us_phone(phone) -%}
    {%- set d3 = '[0-9][0-9][0-9]' -%}
    (
        {{ phone }} like '{{ d3 }}-{{ d3 }}-{{ d3 }}[0-9]' or {{ phone }} like '{{ d3 }}-{{ d3 }}-{{ d3 }}[0-9] x[0-9]%'
        or {{ phone }} like '{{ d3 }}-{{ d3 }}[0-9]' or {{ phone }} like '{{ d3 }}-{{ d3 }}[0-9] x[0-9]%'
    )
{%- endmacro %}

{% macro duckdb__is_us_phone(phone) -%}
    regexp_full_match({{ phone }}, '([0-9]{3}-)?[0-9]{3}-[0-9]{4}( x[0-9]+)?')
{%- endmacro %}
