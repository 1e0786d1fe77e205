{% macro unit_chains(links, longest) -%}
    select
        link_0.company,
        link_0.schedule_key,
        link_0.unit,
        link_0.unit_key,
        link_0.sequence_number,
        case
            {%- for step in range(longest) %}
            when link_{{ step }}.quantity is not null then {{ step }}
            {%- endfor %}
        end as steps,
        case
            {%- for step in range(longest) %}
            when link_{{ step }}.quantity is not null
                then {% for before in range(step) %}link_{{ before }}.factor * {% endfor %}link_{{ step }}.quantity
            {%- endfor %}
        end as quantity

    from {{ links }} as link_0
    {%- for step in range(1, longest) %}
    {%- set before, link = 'link_' ~ (step - 1), 'link_' ~ step %}
    left join {{ links }} as {{ link }}
        on
            {{ before }}.quantity is null
            and {{ before }}.factor <> 0
            and {{ before }}.company = {{ link }}.company
            and {{ before }}.schedule_key = {{ link }}.schedule_key
            and {{ before }}.equivalent_unit_key = {{ link }}.unit_key
    {%- endfor %}
{%- endmacro %}
