{#- dbt's own, but whole rows instead of the column alone: a row of nulls says nothing about which row it is. -#}
{% test not_null(model, column_name) %}

select *
from {{ model }}
where {{ column_name }} is null

{% endtest %}
