{#- GP's own tables, not staging: this shows what GP holds before any rule has touched it. -#}
{%- set order_fields = mapped_fields('crm_salesorder', ['SOP10100', 'RM00102']) -%}
{%- set line_fields = mapped_fields('crm_salesorderdetail', ['SOP10100', 'SOP10200', 'IV00101']) -%}

with

orders as (

    select * from {{ ref('crm_salesorder') }}

),

lines as (

    select * from {{ ref('crm_salesorderdetail') }}

),

gp_orders as (

    {{ gp_rows('SOP10100') }}

),

gp_lines as (

    {{ gp_rows('SOP10200') }}

),

gp_addresses as (

    {{ gp_rows('RM00102') }}

),

gp_items as (

    {{ gp_rows('IV00101') }}

),

order_fields as (
    {{ field_list(order_fields) }}

),

line_fields as (
    {{ field_list(line_fields) }}

),

order_trace as (

    select
        {{ own_text('staged.name', 300) }} as order_number,
        'header' as part,
        cast(null as int) as line_number,
        fields.field_no,
        fields.crm_column,
        fields.is_sent,
        fields.gp_column,
        {{ gp_value_of_field(order_fields) }} as gp_value,
        fields.mapping_rule,
        {{ staged_value_of_field(order_fields) }} as staged_value

    from orders as staged
    inner join gp_orders as SOP10100
        on SOP10100.SOPTYPE = 2 and {{ gp_key('staged.name') }} = {{ order_name_key('SOP10100', 'SOPNUMBE') }}
    left join gp_addresses as RM00102
        on
            {{ gp_key('SOP10100.CUSTNMBR') }} = {{ gp_key('RM00102.CUSTNMBR') }}
            and {{ gp_key(gp_code('SOP10100.PRBTADCD')) }} = {{ gp_key(gp_code('RM00102.ADRSCODE')) }}
            and {{ same_company('SOP10100', 'RM00102') }}
    cross join order_fields as fields

),

line_trace as (

    select
        {{ own_text('staged.salesorderid', 300) }} as order_number,
        'line' as part,
        staged.lineitemnumber as line_number,
        fields.field_no,
        fields.crm_column,
        fields.is_sent,
        fields.gp_column,
        {{ gp_value_of_field(line_fields) }} as gp_value,
        fields.mapping_rule,
        {{ staged_value_of_field(line_fields) }} as staged_value

    from lines as staged
    inner join gp_orders as SOP10100
        on SOP10100.SOPTYPE = 2 and {{ gp_key('staged.salesorderid') }} = {{ order_name_key('SOP10100', 'SOPNUMBE') }}
    inner join gp_lines as SOP10200
        on
            SOP10200.SOPTYPE = 2
            and {{ gp_number('SOP10200.CMPNTSEQ') }} = 0
            and {{ gp_key('SOP10100.SOPNUMBE') }} = {{ gp_key('SOP10200.SOPNUMBE') }}
            and staged.lineitemnumber = {{ gp_number('SOP10200.LNITMSEQ') }}
            and {{ same_company('SOP10100', 'SOP10200') }}
    left join gp_items as IV00101
        on
            {{ gp_key('SOP10200.ITEMNMBR') }} = {{ gp_key('IV00101.ITEMNMBR') }}
            and {{ same_company('SOP10200', 'IV00101') }}
    cross join line_fields as fields

),

final as (

    select * from order_trace
    union all
    select * from line_trace

)

select * from final
