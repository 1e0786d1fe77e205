{% macro record_title(model, relation) -%}
    {%- set title = model.meta.get('title') -%}
    {{ own_collation("cast(" ~ (relation ~ '.' ~ title if title else 'null') ~ ' as ' ~ text_type(300) ~ ')') }}
{%- endmacro %}
