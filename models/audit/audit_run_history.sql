with

runs as (

    select * from {{ ref('sync_run') }}

),

warnings as (

    select
        run_id,
        count(*) as orders_with_warnings

    from {{ ref('sync_event') }}
    where warnings <> '[]'
    group by run_id

),

timed as (

    select
        runs.*,
        coalesce(warnings.orders_with_warnings, 0) as orders_with_warnings,
        {{ seconds_between('runs.started_at', 'runs.finished_at') }} as duration_seconds

    from runs
    left join warnings on runs.run_id = warnings.run_id

),

final as (

    select
        ---------- the run
        row_number() over (order by started_at desc, run_id asc) as run_number,
        run_id,
        command,
        crm_url,
        version,
        started_at,
        finished_at,
        duration_seconds,
        outcome,
        message,

        ---------- orders
        staged,
        created,
        updated,
        unchanged,
        skipped,
        blocked,
        failed,
        orders_with_warnings,

        ---------- shares of the staged orders
        {{ percent_of('created + updated + unchanged', 'staged') }} as in_sync_percent,
        {{ percent_of('created + updated', 'staged') }} as written_percent,
        {{ percent_of('skipped', 'staged') }} as skipped_percent,
        {{ percent_of('blocked + failed', 'staged') }} as trouble_percent,

        ---------- lines and requests
        lines_created,
        lines_updated,
        lines_deleted,
        requests_read,
        requests_write,
        cast(staged / nullif(duration_seconds, 0) as decimal(19, 1)) as orders_per_second

    from timed

)

select * from final
