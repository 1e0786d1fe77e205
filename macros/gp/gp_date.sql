{% macro gp_date(column) -%}
    case when year({{ column }}) <> 1900 then cast({{ column }} as date) end
{%- endmacro %}
