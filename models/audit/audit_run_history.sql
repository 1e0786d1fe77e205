with

held as (

    select run_id
    from {{ ref('sync_lock') }}
    where expires_at > {{ utc_now() }}

),

{#- A run that has no end and whose lock is nobody's any more has died; its counts are those of its last events. -#}
runs as (

    select
        sync_run.run_no,
        sync_run.run_id,
        sync_run.command,
        sync_run.crm_url,
        sync_run.crm_organization_id,
        sync_run.host,
        sync_run.pid,
        sync_run.version,
        sync_run.started_at,
        sync_run.finished_at,
        case when sync_run.outcome = 'running' and held.run_id is null then 'died' else sync_run.outcome end as outcome,
        sync_run.message,
        sync_run.staged,
        sync_run.created,
        sync_run.updated,
        sync_run.unchanged,
        sync_run.skipped,
        sync_run.blocked,
        sync_run.failed,
        sync_run.lines_created,
        sync_run.lines_updated,
        sync_run.lines_deleted,
        sync_run.requests_read,
        sync_run.requests_write

    from {{ ref('sync_run') }} as sync_run
    left join held on sync_run.run_id = held.run_id

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
        row_number() over (order by coalesce(run_no, 0) desc, started_at desc, run_id asc) as run_number,
        run_id,
        command,
        crm_url,
        crm_organization_id,
        host,
        pid,
        version,
        started_at,
        finished_at,
        duration_seconds,
        outcome,
        message,

        ---------- records
        staged,
        created,
        updated,
        unchanged,
        skipped,
        blocked,
        failed,
        orders_with_warnings,

        ---------- shares of the staged records
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
