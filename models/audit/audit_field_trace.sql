{{ crm_dependencies() }}
-- depends_on: {{ ref('audit_journal_records') }}
{#- GP's own tables, not staging: this shows what GP holds before any rule has touched it. -#}
{%- set order_fields = mapped_fields('crm_salesorder', ['SOP10100', 'RM00102']) -%}
{%- set line_fields = mapped_fields('crm_salesorderdetail', ['SOP10100', 'SOP10200', 'IV00101']) %}

with

orders as (

    select
        *,
        {{ folded('name') }} as order_key

    from {{ ref('crm_salesorder') }}

),

lines as (

    select
        *,
        {{ folded('salesorderid') }} as order_key

    from {{ ref('crm_salesorderdetail') }}

),

documents as (

    {{ gp_rows('SOP10100') }}

),

document_lines as (

    {{ gp_rows('SOP10200') }}

),

addresses as (

    {{ gp_rows('RM00102') }}

),

items as (

    {{ gp_rows('IV00101') }}

),

gp_orders as (

    select
        *,
        {{ folded(gp_document_name('SOPNUMBE')) }} as order_key,
        {{ gp_key('SOPNUMBE') }} as document_key,
        {{ gp_key('CUSTNMBR') }} as customer_key,
        {{ gp_key("coalesce(PRBTADCD, '')") }} as address_key

    from documents
    where SOPTYPE = 2

),

gp_lines as (

    select
        *,
        {{ gp_key('SOPNUMBE') }} as document_key,
        {{ gp_number('LNITMSEQ') }} as line_sequence,
        {{ gp_key('ITEMNMBR') }} as item_key

    from document_lines
    where SOPTYPE = 2 and {{ gp_number('CMPNTSEQ') }} = 0

),

gp_addresses as (

    select
        *,
        {{ gp_key('CUSTNMBR') }} as customer_key,
        {{ gp_key("coalesce(ADRSCODE, '')") }} as address_key

    from addresses

),

gp_items as (

    select
        *,
        {{ gp_key('ITEMNMBR') }} as item_key

    from items

),

order_fields as (
    {{ field_list(order_fields) }}

),

line_fields as (
    {{ field_list(line_fields) }}

),

order_trace as (

    select
        'salesorder' as crm_table,
        {{ own_collation('cast(staged.name as ' ~ text_type(300) ~ ')') }} as record_key,
        'header' as part,
        'salesorder' as row_table,
        {{ own_collation('cast(null as ' ~ text_type(300) ~ ')') }} as line_key,
        fields.field_no,
        fields.crm_column,
        fields.is_sent,
        fields.gp_column,
        {{ gp_value_of_field(order_fields) }} as gp_value,
        fields.mapping_rule,
        {{ staged_value_of_field(order_fields) }} as staged_value

    from orders as staged
    inner join gp_orders as SOP10100 on staged.order_key = SOP10100.order_key
    left join gp_addresses as RM00102
        on
            SOP10100.company = RM00102.company
            and SOP10100.customer_key = RM00102.customer_key
            and SOP10100.address_key = RM00102.address_key
    cross join order_fields as fields

),

line_trace as (

    select
        'salesorder' as crm_table,
        {{ own_collation('cast(staged.salesorderid as ' ~ text_type(300) ~ ')') }} as record_key,
        'line' as part,
        'salesorderdetail' as row_table,
        {{ own_collation('cast(staged.lineitemnumber as ' ~ text_type(300) ~ ')') }} as line_key,
        fields.field_no,
        fields.crm_column,
        fields.is_sent,
        fields.gp_column,
        {{ gp_value_of_field(line_fields) }} as gp_value,
        fields.mapping_rule,
        {{ staged_value_of_field(line_fields) }} as staged_value

    from lines as staged
    inner join gp_orders as SOP10100 on staged.order_key = SOP10100.order_key
    inner join gp_lines as SOP10200
        on
            SOP10100.company = SOP10200.company
            and SOP10100.document_key = SOP10200.document_key
            and staged.lineitemnumber = SOP10200.line_sequence
    left join gp_items as IV00101
        on SOP10200.company = IV00101.company and SOP10200.item_key = IV00101.item_key
    cross join line_fields as fields

),

traced as (

    select * from order_trace
    union all
    select * from line_trace
    {%- for each in field_traces() %}

    union all

    {{ each }}
    {%- endfor %}

),

final as (

    select
        crm_table,
        record_key,
        part,
        row_table,
        line_key,
        case when part = 'line' then try_cast(line_key as int) end as line_number,
        field_no,
        crm_column,
        is_sent,
        gp_column,
        gp_value,
        mapping_rule,
        staged_value

    from traced

)

select * from final
