{% macro line_parent(model, relation) -%}
    {{ own_collation('cast(rtrim(' ~ relation ~ '.' ~ model.meta.children.via ~ ') as ' ~ text_type(300) ~ ')') }}
{%- endmacro %}
