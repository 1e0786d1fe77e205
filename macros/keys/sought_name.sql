{% macro sought_name(documents) -%}
    {%- if gp_companies() | selectattr('prefix') | list -%}
        cast({{ folded(documents ~ '.document_name') }} as char(42))
    {%- else -%}
        {{ documents }}.document_key
    {%- endif -%}
{%- endmacro %}
