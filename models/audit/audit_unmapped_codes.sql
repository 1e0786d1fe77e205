{#- One branch a cross-reference that crm_salesorder declares (meta.crm.xref). -#}
{%- set columns = crm_mapping().get('crm_salesorder', {}).get('columns', []) -%}

with

orders as (

    select * from {{ ref('crm_salesorder') }}

),

unmapped as (
    {%- for column in columns if column.crm.xref %}
    {%- set code = columns | selectattr('name', 'equalto', column.crm.xref.code) | first %}

    select
        '{{ column.crm.xref.called }}_unmapped' as reason,
        '{{ column.name }}' as crm_column,
        '{{ 'order_blocked' if column.crm.xref.unmapped == 'block' else 'column_left' }}' as effect,
        {{ as_text(code.name, code.data_type) }} as gp_code,
        {{ as_text('name', 'varchar') }} as order_number,
        totalamount as document_amount

    from orders
    where {{ column.name }} is null and {{ code.name }} is not null
    {{ "\n    union all" if not loop.last }}
    {%- else %}

    select
        '' as reason,
        '' as crm_column,
        '' as effect,
        '' as gp_code,
        {{ as_text('name', 'varchar') }} as order_number,
        totalamount as document_amount

    from orders
    where 1 = 0
    {%- endfor %}

),

final as (

    select
        cast(reason as varchar(60)) as reason,
        cast(crm_column as varchar(128)) as crm_column,
        cast(effect as varchar(20)) as effect,
        cast({{ first_of('gp_code') }} as varchar(50)) as gp_code,
        count(*) as orders,
        sum(document_amount) as document_amount,
        cast({{ first_of('order_number') }} as varchar(300)) as example_order

    from unmapped
    group by reason, crm_column, effect, {{ code_key('gp_code') }}

)

select * from final
