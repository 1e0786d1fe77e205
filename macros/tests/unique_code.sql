{% test unique_code(model, column_name) %}

select min({{ column_name }}) as {{ column_name }}, count(*) as row_count
from {{ model }}
group by {{ folded(column_name) }}
having count(*) > 1

{% endtest %}
