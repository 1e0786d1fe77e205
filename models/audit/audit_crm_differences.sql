{#- The columns of both sides, and how to compare them, are crm_salesorder's and crm_salesorderdetail's own. -#}
{%- set mapping = crm_mapping() -%}
{%- set orders = mapping.get('crm_salesorder', {}) -%}
{%- set order_columns = orders.get('columns', []) | selectattr('is_sent') | list -%}
{%- set closed_states = orders.get('meta', {}).get('state', {}).get('closed', []) or [-1] -%}
{%- set line_columns = mapping.get('crm_salesorderdetail', {}).get('columns', []) | selectattr('is_sent')
    | rejectattr('name', 'in', ['salesorderid', 'lineitemnumber']) | list -%}

with

latest as (

    select max(snapshot_at) as snapshot_at from {{ ref('crm_snapshot_column') }}

),

{#- What is looked at of each order and line: each column that is compared, and whether both sides have it once. -#}
checks as (

    select
        crm_table,
        'value' as looked_at,
        column_name,
        column_type,
        max_length,
        rounding

    from {{ ref('crm_snapshot_column') }}
    where is_compared = 1
    {%- for crm_table in ['salesorder', 'salesorderdetail'] %}
    {%- for looked_at in ['presence', 'copies'] %}

    union all

    select
        '{{ crm_table }}' as crm_table,
        '{{ looked_at }}' as looked_at,
        '' as column_name,
        null as column_type,
        null as max_length,
        null as rounding

    from latest
    where snapshot_at is not null
    {%- endfor %}
    {%- endfor %}

),

staged_orders as (

    select
        orders.*,
        {{ folded('orders.name') }} as order_key

    from {{ ref('crm_salesorder') }} as orders

),

crm_orders as (

    select
        orders.*,
        {{ folded('orders.name') }} as order_key,
        row_number() over (partition by {{ folded('orders.name') }} order by orders.crm_id) as copy_no

    from {{ ref('crm_snapshot_salesorder') }} as orders

),

{#- A staged line is expected in each copy of its order. -#}
staged_lines as (

    select
        lines.*,
        crm_orders.order_key,
        crm_orders.crm_id as parent_crm_id

    from {{ ref('crm_salesorderdetail') }} as lines
    inner join crm_orders on {{ folded('lines.salesorderid') }} = crm_orders.order_key

),

crm_lines as (

    select
        lines.*,
        {{ folded('lines.salesorderid') }} as order_key,
        row_number() over (partition by lines.parent_crm_id, lines.lineitemnumber order by lines.crm_id) as copy_no

    from {{ ref('crm_snapshot_salesorderdetail') }} as lines

),

{#- Both sides are read once: each pair meets each check. -#}
order_differences as (

    select
        coalesce(staged.order_key, crm.order_key) as order_key,
        coalesce({{ as_text('staged.name', 'varchar') }}, {{ as_text('crm.name', 'varchar') }}) as order_number,
        'header' as part,
        cast(null as int) as line_number,
        case held.looked_at
            when 'presence'
                then case
                    when crm.order_key is null then 'order_not_in_crm'
                    when staged.order_key is null and crm.statecode not in ({{ closed_states | join(', ') }})
                        then 'order_left_scope'
                end
            when 'copies'
                then case when crm.copy_no > 1 then 'order_twice_in_crm' end
            when 'value'
                then case
                    when staged.order_key is null or crm.order_key is null then null
                    when
                        case held.column_name
                            when '' then 0
                            {%- for column in order_columns %}
                            when '{{ column.name }}' then {{ staged_differs(column) | indent(28) }}
                            {%- endfor %}
                        end = 1 then 'value'
                end
        end as difference,
        held.column_name as crm_column,
        {{ value_of_column('staged', order_columns) }} as staged_value,
        {{ value_of_column('crm', order_columns) }} as crm_value,
        {{ as_text('crm.statecode', 'int') }} as crm_state,
        crm.crm_id

    from staged_orders as staged
    full outer join crm_orders as crm on staged.order_key = crm.order_key
    cross join checks as held
    where held.crm_table = 'salesorder'

),

line_differences as (

    select
        coalesce(staged.order_key, crm.order_key) as order_key,
        coalesce(
            {{ as_text('staged.salesorderid', 'varchar') }}, {{ as_text('crm.salesorderid', 'varchar') }}
        ) as order_number,
        'line' as part,
        coalesce(staged.lineitemnumber, crm.lineitemnumber) as line_number,
        case held.looked_at
            when 'presence'
                then case
                    when crm.crm_id is null then 'line_not_in_crm'
                    when staged.order_key is null then 'line_only_in_crm'
                end
            when 'copies'
                then case when crm.copy_no > 1 and crm.lineitemnumber is not null then 'line_twice_in_crm' end
            when 'value'
                then case
                    when staged.order_key is null or crm.crm_id is null then null
                    when
                        case held.column_name
                            when '' then 0
                            {%- for column in line_columns %}
                            when '{{ column.name }}' then {{ staged_differs(column) | indent(28) }}
                            {%- endfor %}
                        end = 1 then 'value'
                end
        end as difference,
        held.column_name as crm_column,
        {{ value_of_column('staged', line_columns) }} as staged_value,
        {{ value_of_column('crm', line_columns) }} as crm_value,
        cast(null as varchar(60)) as crm_state,
        coalesce(crm.crm_id, staged.parent_crm_id) as crm_id

    from staged_lines as staged
    full outer join crm_lines as crm
        on staged.parent_crm_id = crm.parent_crm_id and staged.lineitemnumber = crm.lineitemnumber
    cross join checks as held
    where held.crm_table = 'salesorderdetail'

),

differences as (

    select * from order_differences
    where difference is not null

    union all

    select * from line_differences
    where difference is not null

),

status as (

    select
        {{ folded('order_number') }} as order_key,
        scope_reason,
        reason

    from {{ ref('audit_order_status') }}

),

warnings as (

    select
        {{ folded('order_number') }} as order_key,
        part,
        coalesce(line_number, 0) as line_number,
        crm_column,
        min(warning) as warning

    from {{ ref('audit_order_warnings') }}
    group by {{ folded('order_number') }}, part, coalesce(line_number, 0), crm_column

),

final as (

    select
        differences.order_number,
        differences.part,
        differences.line_number,
        differences.difference,
        case differences.difference
            when 'value' then differences.crm_column
            when 'order_left_scope' then 'statecode'
        end as crm_column,
        case differences.difference when 'value' then differences.staged_value end as staged_value,
        case differences.difference
            when 'value' then differences.crm_value
            when 'order_left_scope' then differences.crm_state
        end as crm_value,
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
    {#- Lines of an order that GP no longer has open differ with the order. #}
    where differences.difference <> 'line_only_in_crm' or status.scope_reason = 'open'

)

select * from final
