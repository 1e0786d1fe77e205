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
