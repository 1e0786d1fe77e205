{#- What names a staged record to people beside its key (meta.crm.title), null where its table has none. -#}
{% macro record_title(model, relation) -%}
    {%- set title = model.meta.get('title') -%}
    {{ own_collation("cast(" ~ (relation ~ '.' ~ title if title else 'null') ~ ' as varchar(300))') }}
{%- endmacro %}
