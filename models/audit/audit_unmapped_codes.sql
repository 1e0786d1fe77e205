{#- One row of `codes` for each cross-reference that crm_salesorder declares (meta.crm.xref). -#}
{%- set columns = crm_mapping().get('crm_salesorder', {}).get('columns', []) -%}
{%- set translated = columns | selectattr('crm.xref') | list -%}

with

orders as (

    select * from {{ ref('crm_salesorder') }}

),

codes as (
    {%- for column in translated %}

    select
        '{{ column.crm.xref.called }}_unmapped' as reason,
        '{{ column.name }}' as crm_column,
        '{{ 'order_blocked' if column.crm.xref.unmapped == 'block' else 'column_left' }}' as effect
    {{ "\n    union all" if not loop.last }}
    {%- else %}

    select
        '' as reason,
        '' as crm_column,
        '' as effect
    {%- endfor %}

),

unmapped as (

    select
        codes.reason,
        codes.crm_column,
        codes.effect,
        case codes.crm_column
            when '' then null
            {%- for column in translated %}
            {%- set code = columns | selectattr('name', 'equalto', column.crm.xref.code) | first %}
            when '{{ column.name }}'
                then case when orders.{{ column.name }} is null then {{ as_text('orders.' ~ code.name, code.data_type) }} end
            {%- endfor %}
        end as gp_code,
        {{ as_text('orders.name', 'varchar') }} as order_number,
        orders.totalamount as document_amount

    from orders
    cross join codes

),

final as (

    select
        cast(reason as varchar(60)) as reason,
        cast(crm_column as varchar(128)) as crm_column,
        cast(effect as varchar(20)) as effect,
        cast({{ first_of('gp_code') }} as {{ text_type(50) }}) as gp_code,
        count(*) as orders,
        sum(document_amount) as document_amount,
        cast({{ first_of('order_number') }} as {{ text_type(300) }}) as example_order

    from unmapped
    where gp_code is not null
    group by reason, crm_column, effect, {{ folded('gp_code') }}

)

select * from final
