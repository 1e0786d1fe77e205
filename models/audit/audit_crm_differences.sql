{#- The columns of both sides, and how to compare them, are crm_salesorder's and crm_salesorderdetail's own. -#}
{%- set mapping = crm_mapping() -%}
{%- set orders = mapping.get('crm_salesorder', {}) -%}
{%- set order_columns = orders.get('columns', []) | selectattr('is_sent') | list -%}
{%- set closed_states = orders.get('meta', {}).get('state', {}).get('closed', []) or [-1] -%}
{%- set line_columns = mapping.get('crm_salesorderdetail', {}).get('columns', []) | selectattr('is_sent')
    | rejectattr('name', 'in', ['salesorderid', 'lineitemnumber']) | list -%}

with

columns_held as (

    select * from {{ ref('crm_snapshot_column') }}
    where is_compared = 1

),

latest as (

    select max(snapshot_at) as snapshot_at from {{ ref('crm_snapshot_column') }}

),

staged_orders as (

    select
        orders.*,
        {{ code_key('orders.name') }} as order_key

    from {{ ref('crm_salesorder') }} as orders

),

staged_lines as (

    select
        lines.*,
        {{ code_key('lines.salesorderid') }} as order_key

    from {{ ref('crm_salesorderdetail') }} as lines

),

crm_orders as (

    select
        orders.*,
        {{ code_key('orders.name') }} as order_key,
        row_number() over (partition by {{ code_key('orders.name') }} order by orders.crm_id) as copy_no

    from {{ ref('crm_snapshot_salesorder') }} as orders

),

crm_lines as (

    select
        lines.*,
        {{ code_key('lines.salesorderid') }} as order_key,
        row_number() over (partition by lines.parent_crm_id, lines.lineitemnumber order by lines.crm_id) as copy_no

    from {{ ref('crm_snapshot_salesorderdetail') }} as lines

),

status as (

    select
        {{ code_key('order_number') }} as order_key,
        scope_reason,
        reason

    from {{ ref('audit_order_status') }}

),

warnings as (

    select
        {{ code_key('order_number') }} as order_key,
        part,
        coalesce(line_number, 0) as line_number,
        crm_column,
        min(warning) as warning

    from {{ ref('audit_order_warnings') }}
    group by {{ code_key('order_number') }}, part, coalesce(line_number, 0), crm_column

),

order_values as (

    select
        staged.order_key,
        staged.name as order_number,
        crm.crm_id,
        held.column_name as crm_column,
        {{ value_of_column('staged', order_columns) }} as staged_value,
        {{ value_of_column('crm', order_columns) }} as crm_value,
        case held.column_name
            when '' then 0
            {%- for column in order_columns %}
            when '{{ column.name }}' then {{ staged_differs(column) | indent(12) }}
            {%- endfor %}
        end as is_different

    from staged_orders as staged
    inner join crm_orders as crm on staged.order_key = crm.order_key
    cross join columns_held as held
    where held.crm_table = 'salesorder'

),

line_values as (

    select
        staged.order_key,
        staged.salesorderid as order_number,
        staged.lineitemnumber as line_number,
        crm.crm_id,
        held.column_name as crm_column,
        {{ value_of_column('staged', line_columns) }} as staged_value,
        {{ value_of_column('crm', line_columns) }} as crm_value,
        case held.column_name
            when '' then 0
            {%- for column in line_columns %}
            when '{{ column.name }}' then {{ staged_differs(column) | indent(12) }}
            {%- endfor %}
        end as is_different

    from staged_lines as staged
    inner join crm_lines as crm
        on staged.order_key = crm.order_key and staged.lineitemnumber = crm.lineitemnumber
    cross join columns_held as held
    where held.crm_table = 'salesorderdetail'

),

differences as (

    select
        order_key,
        {{ as_text('order_number', 'varchar') }} as order_number,
        'header' as part,
        cast(null as int) as line_number,
        'value' as difference,
        crm_column,
        staged_value,
        crm_value,
        crm_id

    from order_values
    where is_different = 1

    union all

    select
        order_key,
        {{ as_text('order_number', 'varchar') }} as order_number,
        'line' as part,
        line_number,
        'value' as difference,
        crm_column,
        staged_value,
        crm_value,
        crm_id

    from line_values
    where is_different = 1

    union all

    select
        staged_orders.order_key,
        {{ as_text('staged_orders.name', 'varchar') }} as order_number,
        'header' as part,
        cast(null as int) as line_number,
        'order_not_in_crm' as difference,
        null as crm_column,
        null as staged_value,
        null as crm_value,
        null as crm_id

    from staged_orders
    cross join latest
    where
        latest.snapshot_at is not null
        and not exists (
            select 1
            from crm_orders
            where crm_orders.order_key = staged_orders.order_key
        )

    union all

    select
        crm_orders.order_key,
        {{ as_text('crm_orders.name', 'varchar') }} as order_number,
        'header' as part,
        cast(null as int) as line_number,
        'order_left_scope' as difference,
        'statecode' as crm_column,
        null as staged_value,
        {{ as_text('crm_orders.statecode', 'int') }} as crm_value,
        crm_orders.crm_id

    from crm_orders
    where
        crm_orders.statecode not in ({{ closed_states | join(', ') }})
        and not exists (
            select 1
            from staged_orders
            where staged_orders.order_key = crm_orders.order_key
        )

    union all

    select
        order_key,
        {{ as_text('name', 'varchar') }} as order_number,
        'header' as part,
        cast(null as int) as line_number,
        'order_twice_in_crm' as difference,
        null as crm_column,
        null as staged_value,
        null as crm_value,
        crm_id

    from crm_orders
    where copy_no > 1

    union all

    select
        staged_lines.order_key,
        {{ as_text('staged_lines.salesorderid', 'varchar') }} as order_number,
        'line' as part,
        staged_lines.lineitemnumber as line_number,
        'line_not_in_crm' as difference,
        null as crm_column,
        null as staged_value,
        null as crm_value,
        crm_orders.crm_id

    from staged_lines
    inner join crm_orders on staged_lines.order_key = crm_orders.order_key
    where
        not exists (
            select 1
            from crm_lines
            where
                crm_lines.parent_crm_id = crm_orders.crm_id
                and crm_lines.lineitemnumber = staged_lines.lineitemnumber
        )

    union all

    select
        crm_lines.order_key,
        {{ as_text('crm_lines.salesorderid', 'varchar') }} as order_number,
        'line' as part,
        crm_lines.lineitemnumber as line_number,
        'line_only_in_crm' as difference,
        null as crm_column,
        null as staged_value,
        null as crm_value,
        crm_lines.crm_id

    from crm_lines
    inner join staged_orders on crm_lines.order_key = staged_orders.order_key
    where
        not exists (
            select 1
            from staged_lines
            where
                staged_lines.order_key = crm_lines.order_key
                and staged_lines.lineitemnumber = crm_lines.lineitemnumber
        )

    union all

    select
        order_key,
        {{ as_text('salesorderid', 'varchar') }} as order_number,
        'line' as part,
        lineitemnumber as line_number,
        'line_twice_in_crm' as difference,
        null as crm_column,
        null as staged_value,
        null as crm_value,
        crm_id

    from crm_lines
    where copy_no > 1 and lineitemnumber is not null

),

final as (

    select
        differences.order_number,
        differences.part,
        differences.line_number,
        differences.difference,
        differences.crm_column,
        differences.staged_value,
        differences.crm_value,
        coalesce(
            status.reason, warnings.warning,
            case when differences.difference = 'order_left_scope' then status.scope_reason end
        ) as reason,
        differences.crm_id,
        latest.snapshot_at

    from differences
    cross join latest
    left join status on differences.order_key = status.order_key
    left join warnings
        on
            differences.order_key = warnings.order_key
            and differences.part = warnings.part
            and coalesce(differences.line_number, 0) = warnings.line_number
            and differences.crm_column = warnings.crm_column

)

select * from final
