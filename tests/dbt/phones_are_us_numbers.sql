{{ config(severity='warn') }}
{#- Phones that went to CRM as they are in GP, because they are not US numbers. -#}

with

phones as (

    select name as order_number, 'billto_telephone' as crm_column, billto_telephone as phone
    from {{ ref('crm_salesorder') }}
    union all
    select name as order_number, 'billto_fax' as crm_column, billto_fax as phone
    from {{ ref('crm_salesorder') }}
    union all
    select name as order_number, 'shipto_telephone' as crm_column, shipto_telephone as phone
    from {{ ref('crm_salesorder') }}
    union all
    select name as order_number, 'shipto_fax' as crm_column, shipto_fax as phone
    from {{ ref('crm_salesorder') }}
    union all
    select salesorderid as order_number, 'line shipto_telephone' as crm_column, shipto_telephone as phone
    from {{ ref('crm_salesorderdetail') }}
    union all
    select salesorderid as order_number, 'line shipto_fax' as crm_column, shipto_fax as phone
    from {{ ref('crm_salesorderdetail') }}

)

select distinct order_number, crm_column, phone
from phones
where phone is not null and not {{ is_us_phone('phone') }}
