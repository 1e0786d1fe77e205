{#- A value as text, the same on both warehouses: text without trailing blanks, dates as 2024-01-31 05:00:00, numbers
    with all their decimals. -#}
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

{#- text, instant, decimal or whole, of a data type in the YAML. -#}
{% macro type_family(data_type) -%}
    {%- set kind = data_type | lower -%}
    {%- if 'char' in kind -%}
        {{ return('text') }}
    {%- elif kind.startswith(('timestamp', 'date')) -%}
        {{ return('instant') }}
    {%- elif kind.startswith(('decimal', 'numeric')) -%}
        {{ return('decimal') }}
    {%- else -%}
        {{ return('whole') }}
    {%- endif -%}
{%- endmacro %}
