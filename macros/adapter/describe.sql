{% macro describe(action, relation, description, column=none) -%}
    exec sys.sp_{{ action }}extendedproperty
        @name = N'MS_Description',
        {%- if action != 'drop' %}
        @value = {{ text_literal(description) }},
        {%- endif %}
        @level0type = N'SCHEMA',
        @level0name = {{ text_literal(relation.schema) }},
        @level1type = N'{{ 'VIEW' if relation.is_view else 'TABLE' }}',
        @level1name = {{ text_literal(relation.identifier) }}
        {%- if column %},
        @level2type = N'COLUMN',
        @level2name = {{ text_literal(column) }}
        {%- endif %};
{% endmacro %}
