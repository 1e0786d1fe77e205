{% macro value_differs(columns, models, is_line=false) -%}
    case held.column_name
        when '' then 0
        {%- for column in columns %}
        {%- set numbers = [] %}
        {%- for model in models -%}
            {%- set own = (model.child.columns if is_line else model.columns) | map(attribute='name') | list -%}
            {%- do numbers.append(loop.index) if column.name in own -%}
        {%- endfor %}
        when '{{ column.name }}'
            then {{ 'case when staged.model_no in (' ~ numbers | join(', ') ~ ') then ' if numbers | length < models | length }}
            {{- staged_differs(column) | indent(16) }}{{ ' end' if numbers | length < models | length }}
        {%- endfor %}
    end
{%- endmacro %}
