{{ config(severity='warn') }}
{#- Phones that go to CRM as they are in GP, because they are not US numbers. -#}

with

phones as (

    select
        name as order_number,
        billto_telephone,
        billto_fax,
        shipto_telephone,
        shipto_fax

    from {{ ref('crm_salesorder') }}

    union all

    select
        salesorderid as order_number,
        null as billto_telephone,
        null as billto_fax,
        shipto_telephone,
        shipto_fax

    from {{ ref('crm_salesorderdetail') }}

),

failing as (

    select distinct order_number, billto_telephone, billto_fax, shipto_telephone, shipto_fax
    from phones
    where
        not {{ is_us_phone('billto_telephone') }}
        or not {{ is_us_phone('billto_fax') }}
        or not {{ is_us_phone('shipto_telephone') }}
        or not {{ is_us_phone('shipto_fax') }}

)

select * from failing
