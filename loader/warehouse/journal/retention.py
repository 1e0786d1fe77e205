"""How long the journal keeps runs, events and resolved queue entries."""

from __future__ import annotations

import datetime as dt

from loader.warehouse.journal.records import Purged
from loader.warehouse.journal.tables import Tables


def purge(tables: Tables, retention_days: int, witness: dt.datetime | None = None) -> Purged:
    """Deletes older runs and events, and queue entries that were resolved before then.

    `witness` is the time by another clock. Rows are deleted only if they are old by both clocks, because a single clock
    that is years ahead would delete everything. Open, held and ignored entries stay, and so do the CRM ids.
    """
    before = min(tables.now(), witness or dt.datetime.max) - dt.timedelta(days=retention_days)

    def delete() -> Purged:
        events = tables.execute("delete from {sync_event} where happened_at < ?", [before])
        queue = tables.execute(
            "delete from {retry_queue} where state = 'resolved' and coalesce(last_failed_at, ?) < ?",
            [dt.datetime(1900, 1, 1), before],
        )
        runs = tables.execute(
            "delete from {sync_run} where started_at < ? and run_id not in (select run_id from {sync_lock})",
            [before],
        )
        return Purged(runs, events, queue)

    return tables.atomically("retry_queue", delete)
