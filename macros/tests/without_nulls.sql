{% test without_nulls(model, table) %}
{#- Counted in one reading of the table, and set out as rows afterwards. -#}
{%- set columns = gp_columns(table) %}

with

source as (

    {{ gp_rows(table) }}

),

counted as (

    select
        {%- for column in columns %}
        count(*) - count({{ column }}) as {{ column }}{{ ',' if not loop.last }}
        {%- else %}
        0 as no_column
        {%- endfor %}

    from source

),

names as (
    {%- for column in columns %}

    select '{{ column }}' as gp_column
    {{ "\n    union all" if not loop.last }}
    {%- else %}

    select '' as gp_column
    {%- endfor %}

),

nulls as (

    select
        '{{ table }}' as gp_table,
        names.gp_column,
        case names.gp_column
            when '' then 0
            {%- for column in columns %}
            when '{{ column }}' then counted.{{ column }}
            {%- endfor %}
        end as row_count

    from counted
    cross join names

)

select * from nulls
where row_count > 0

{% endtest %}
