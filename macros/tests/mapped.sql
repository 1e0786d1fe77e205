{% test mapped(model, column_name, code) %}

select {{ code }} as gp_code, count(*) as orders
from {{ model }}
where {{ code }} is not null and {{ column_name }} is null
group by {{ code }}

{% endtest %}
