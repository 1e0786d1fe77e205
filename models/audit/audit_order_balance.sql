with

orders as (

    select * from {{ ref('int_sales_orders_open') }}

),

priced as (

    select
        lines.*,
        {{ gross_amount('lines') }} as gross_amount

    from {{ ref('stg_gp__sales_order_lines') }} as lines
    where lines.document_type = 2 and lines.component_sequence = 0

),

lines as (

    select
        priced.company,
        priced.document_key,
        count(*) as line_count,
        sum(cast(priced.extended_price as decimal(38, 5))) as extended_price,
        sum(cast(priced.tax_amount as decimal(38, 5))) as tax_amount,
        sum(cast(priced.markdown_amount as decimal(38, 5))) as markdown_amount,
        sum(cast({{ discount_amount('priced') }} as decimal(38, 5))) as discount_amount

    from priced
    group by priced.company, priced.document_key

),

figures as (

    select
        {{ own_collation('orders.document_name') }} as order_number,
        {{ own_collation('orders.customer_number') }} as customer_number,
        orders.subtotal,
        orders.tax_amount,
        orders.document_amount,
        orders.freight_amount,
        orders.miscellaneous_amount,
        orders.terms_discount_amount,
        orders.trade_discount_amount,
        {{ parts_amount('orders') }} as parts_amount,
        coalesce(lines.line_count, 0) as line_count,
        coalesce(lines.extended_price, 0) as lines_extended_price,
        coalesce(lines.tax_amount, 0) as lines_tax,
        coalesce(lines.markdown_amount, 0) as lines_markdown,
        coalesce(lines.discount_amount, 0) as lines_discount

    from orders
    left join lines on orders.company = lines.company and orders.document_key = lines.document_key

),

balanced as (

    select
        order_number,
        customer_number,
        line_count,

        ---------- header against lines
        subtotal,
        lines_extended_price,
        cast(subtotal - lines_extended_price as decimal(38, 5)) as subtotal_difference,
        tax_amount,
        lines_tax,
        cast(tax_amount - lines_tax as decimal(38, 5)) as tax_difference,

        ---------- the header's total against its parts
        document_amount,
        miscellaneous_amount,
        parts_amount,
        cast(document_amount - parts_amount as decimal(38, 5)) as document_difference,

        ---------- spec against reconciled amounts
        terms_discount_amount as spec_order_discount,
        trade_discount_amount as reconciled_order_discount,
        lines_extended_price as spec_lines_base,
        cast(lines_extended_price + lines_discount as decimal(38, 5)) as reconciled_lines_base,
        lines_markdown as spec_lines_discount,
        lines_discount as reconciled_lines_discount,
        cast(
            lines_extended_price - lines_markdown - terms_discount_amount + freight_amount + tax_amount
            as decimal(38, 5)
        ) as spec_total,
        cast(
            lines_extended_price - trade_discount_amount + freight_amount + tax_amount as decimal(38, 5)
        ) as reconciled_total

    from figures

),

final as (

    select
        *,
        case when subtotal_difference = 0 and document_difference = 0 then 1 else 0 end as is_balanced,
        case
            when
                spec_order_discount = reconciled_order_discount
                and spec_lines_base = reconciled_lines_base
                and spec_lines_discount = reconciled_lines_discount
                then 0
            else 1
        end as amounts_differ

    from balanced

)

select * from final
