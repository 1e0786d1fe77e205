{{ config(severity='warn', enabled=var('sync').get('customers', false)) }}
{#- Phones of accounts that go to CRM as they are in GP, because they are not US numbers. -#}

select
    accountnumber,
    telephone1,
    telephone2,
    fax,
    address1_telephone1,
    address1_fax,
    address2_telephone1,
    address2_fax

from {{ ref('crm_account') }}
where
    not {{ is_us_phone('telephone1') }}
    or not {{ is_us_phone('telephone2') }}
    or not {{ is_us_phone('fax') }}
    or not {{ is_us_phone('address1_telephone1') }}
    or not {{ is_us_phone('address1_fax') }}
    or not {{ is_us_phone('address2_telephone1') }}
    or not {{ is_us_phone('address2_fax') }}
