{{ crm_dependencies() }}
-- depends_on: {{ ref('crm_snapshot_record') }}
{%- set tables = audited_tables() %}

with

latest as (

    select max(snapshot_at) as snapshot_at from {{ ref('crm_snapshot_column') }}

),

journal as (

    select * from {{ ref('audit_journal_records') }}

),

{#- What is looked at of each record and line: each column that is compared, and whether both sides have it once. -#}
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
    {%- for table in tables %}
    {%- for crm_table in [table.table, table.lines.table] if crm_table %}
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
    {%- endfor %}

),
{%- for table in tables %}

staged_{{ table.table }} as (

    {{ staged_records(table) }}

),

snapshot_{{ table.table }} as (

    select
        snapshot.*,
        row_number() over (partition by snapshot.match_key order by snapshot.crm_id) as copy_no
    from (
        {{ crm_rows(table.table, table.columns) | indent(4) }}
    ) as snapshot

),
{%- if table.lines %}

{#- A staged line is expected in each copy of its record. -#}
staged_{{ table.lines.table }} as (

    select
        lines.*,
        crm.crm_id as parent_crm_id
    from (
        {{ staged_lines(table) | indent(4) }}
    ) as lines
    inner join snapshot_{{ table.table }} as crm on lines.match_key = crm.match_key

),

snapshot_{{ table.lines.table }} as (

    select
        snapshot.*,
        row_number() over (
            partition by snapshot.parent_crm_id, {{ line_key_columns(table.lines, 'snapshot') | join(', ') }}
            order by snapshot.crm_id
        ) as copy_no
    from (
        {{ crm_rows(table.lines.table, table.lines.columns) | indent(4) }}
    ) as snapshot

),
{%- endif %}
{%- endfor %}

looked_at as (
    {%- for table in tables %}

    {{ record_differences(table) }}
    {%- if table.lines %}

    union all

    {{ line_differences(table) }}
    {%- endif %}
    {{ "\n    union all" if not loop.last }}
    {%- else %}

    select
        '' as crm_table,
        '' as match_key,
        '' as record_key,
        '' as row_table,
        '' as line_key,
        '' as looked_at,
        0 as is_staged,
        '' as difference,
        '' as crm_column,
        '' as staged_value,
        '' as crm_value,
        '' as crm_state,
        '' as crm_id
    {%- endfor %}

),

{#- Every record has a row, differs it or not, that says whether GP still has it. -#}
differences as (

    select
        looked_at.*,
        case when looked_at.difference like '%left_scope' then 1 else 0 end as is_left,
        max(looked_at.is_staged) over (partition by looked_at.crm_table, looked_at.match_key) as is_record_staged

    from looked_at
    where
        looked_at.difference is not null
        or (looked_at.row_table = looked_at.crm_table and looked_at.looked_at = 'presence')

),

orders as (

    select
        'salesorder' as crm_table,
        {{ folded('order_number') }} as match_key,
        max(scope_reason) as scope_reason

    from {{ ref('audit_order_status') }}
    group by {{ folded('order_number') }}

),

warnings as (

    select
        crm_table,
        {{ folded('record_key') }} as match_key,
        row_table,
        coalesce(line_key, '') as line_key,
        crm_column,
        min(warning) as warning

    from {{ ref('audit_record_warnings') }}
    group by crm_table, {{ folded('record_key') }}, row_table, coalesce(line_key, ''), crm_column

),

final as (

    select
        differences.crm_table,
        differences.record_key,
        differences.row_table,
        differences.line_key,
        differences.difference,
        case
            when differences.difference = 'value' then differences.crm_column
            when differences.is_left = 1 then 'statecode'
        end as crm_column,
        case when differences.difference = 'value' then differences.staged_value end as staged_value,
        case
            when differences.difference = 'value' then differences.crm_value
            when differences.is_left = 1 then differences.crm_state
        end as crm_value,
        coalesce(
            journal.reason, warnings.warning,
            case when differences.is_left = 1 then orders.scope_reason end
        ) as reason,
        differences.crm_id,
        latest.snapshot_at

    from differences
    cross join latest
    left join journal
        on differences.crm_table = journal.crm_table and differences.match_key = journal.match_key
    left join orders
        on differences.crm_table = orders.crm_table and differences.match_key = orders.match_key
    left join warnings
        on
            differences.crm_table = warnings.crm_table
            and differences.match_key = warnings.match_key
            and differences.row_table = warnings.row_table
            and coalesce(differences.line_key, '') = warnings.line_key
            and differences.crm_column = warnings.crm_column
    where
        differences.difference is not null
        {#- Lines of a record that GP no longer has differ with the record. #}
        and (differences.difference <> 'line_only_in_crm' or differences.is_record_staged = 1)

)

select * from final
