with

cross_reference as (

    select * from {{ ref('crm_xref') }}
    where crm_table = 'salesorder'

),

final as (

    select
        cast(cross_reference.record_key as varchar(300)) as name,
        cast(2 as int) as statecode,
        cast(4 as int) as statuscode

    from cross_reference
    where
        '{{ deleted_orders() }}' = 'cancel'
        and not exists (
            select 1
            from {{ ref('stg_gp__sales_orders') }} as orders
            where orders.document_type = 2 and {{ folded('orders.document_name') }} = cross_reference.match_key
        )
        and not exists (
            select 1
            from {{ ref('stg_gp__sales_order_history') }} as orders
            where orders.document_type = 2 and {{ folded('orders.document_name') }} = cross_reference.match_key
        )

)

select * from final
