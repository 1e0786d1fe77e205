{% macro as_text(expression, data_type) -%}
    {{ return(adapter.dispatch('as_text')(expression, type_family(data_type))) }}
{%- endmacro %}

{% macro default__as_text(expression, family) -%}
    {%- if family == 'text' -%}
        cast(rtrim({{ expression }}) as {{ text_type(2000) }}) collate database_default
    {%- elif family == 'instant' -%}
        convert(varchar(19), {{ expression }}, 120)
    {%- else -%}
        cast({{ expression }} as varchar(60))
    {%- endif -%}
{%- endmacro %}

{% macro duckdb__as_text(expression, family) -%}
    {%- if family == 'text' -%}
        rtrim({{ expression }})
    {%- elif family == 'instant' -%}
        strftime({{ expression }}, '%Y-%m-%d %H:%M:%S')
    {%- else -%}
        cast({{ expression }} as varchar)
    {%- endif -%}
{%- endmacro %}
