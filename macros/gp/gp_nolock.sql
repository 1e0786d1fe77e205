{% macro gp_nolock() -%}
    {%- set nolock = setting('nolock', [true, false]) -%}
    {{ return(adapter.dispatch('gp_nolock')(nolock)) }}
{%- endmacro %}

{% macro default__gp_nolock(nolock) -%}
    {{ return(' with (nolock)' if nolock else '') }}
{%- endmacro %}

{% macro duckdb__gp_nolock(nolock) -%}
    {{ return('') }}
{%- endmacro %}
