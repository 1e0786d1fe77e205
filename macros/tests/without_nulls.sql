{#- GP declares its columns not null; a copy of its tables may not. One row for each column of a GP table that holds nulls,
    which staging reads as GP's own defaults: 0, blank, 1900-01-01. -#}
{% test without_nulls(model, table) %}

with

source as (

    {{ gp_rows(table) }}

),

nulls as (
    {%- for column in gp_columns(table) %}

    select '{{ table }}' as gp_table, '{{ column }}' as gp_column, count(*) as row_count
    from source
    where {{ column }} is null
    having count(*) > 0
    {{ "\n    union all" if not loop.last }}
    {%- else %}

    select '' as gp_table, '' as gp_column, count(*) as row_count
    from source
    where 1 = 0
    having count(*) > 0
    {%- endfor %}

)

select * from nulls

{% endtest %}
