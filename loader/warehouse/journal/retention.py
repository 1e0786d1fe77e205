"""How long the journal keeps what is over and done."""

from __future__ import annotations

import datetime as dt

from loader.warehouse.journal.records import Purged
from loader.warehouse.journal.tables import Tables


def purge(tables: Tables, retention_days: int, witness: dt.datetime | None = None) -> Purged:
    """Deletes runs and events that are older, and queue entries resolved by then.

    `witness` is another clock's time: what is deleted is older by both, for a clock that is years ahead once would
    take everything. What is open, held or ignored stays however old it is, and so do the CRM ids.
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
