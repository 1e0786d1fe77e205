{% macro record_key(model, relation) -%}
    {%- set texts = [] -%}
    {%- for column in model.meta.match_on -%}
        {%- do texts.append("rtrim(" ~ relation ~ "." ~ column ~ ")") -%}
    {%- endfor -%}
    {%- set text = texts[0] if texts | length == 1 else "concat(" ~ texts | join(", ' / ', ") ~ ")" -%}
    {{ own_collation("cast(" ~ text ~ " as " ~ text_type(300) ~ ")") }}
{%- endmacro %}
