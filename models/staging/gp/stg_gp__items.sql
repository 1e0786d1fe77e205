with

source as (

    select * from {{ source('gp', 'IV00101') }}{{ gp_nolock() }}

),

renamed as (

    select
        ---------- keys
        {{ gp_id('ITEMNMBR') }} as item_number,

        ---------- text
        {{ gp_text('UOMSCHDL') }} as unit_schedule

    from source

)

select * from renamed
