"""Enters how records ended: events, the retry queue, CRM ids and the run's counts, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from loader.keys import fold
from loader.warehouse.journal.events import Events
from loader.warehouse.journal.known import KnownRecords
from loader.warehouse.journal.lock import Lock
from loader.warehouse.journal.noted import NotedRecords
from loader.warehouse.journal.queue import Queue, queued
from loader.warehouse.journal.records import ByKey, RecordResult, RunCounts
from loader.warehouse.journal.runs import Runs
from loader.warehouse.journal.tables import Tables


class Recording:
    """What a result changes in the journal's tables."""

    def __init__(
        self,
        tables: Tables,
        lock: Lock,
        runs: Runs,
        events: Events,
        queue: Queue,
        known: KnownRecords,
        noted: NotedRecords,
    ) -> None:
        self._tables = tables
        self._lock = lock
        self._runs = runs
        self._events = events
        self._queue = queue
        self._known = known
        self._noted = noted

    def record(self, results: Sequence[RecordResult], run_id: str, counts: RunCounts | None = None) -> None:
        """Enters how records ended: events, the retry queue and the CRM ids, all in one short transaction.

        `counts` are those of the run so far, so that they are known if it dies. A record gets no event if nothing
        happened: it is unchanged, has no warnings, and was neither in the queue nor skipped or warned of before. If the
        run has lost its lock, it does not touch records that the run which took over has looked at.
        """
        for table in dict.fromkeys(result.table for result in results):
            # If a key occurs twice, its last result counts.
            latest = {fold(result.key): result for result in results if result.table == table}
            self._tables.atomically("retry_queue", self._recording(table, latest, run_id, counts))

    def _recording(
        self, table: str, results: Mapping[str, RecordResult], run_id: str, counts: RunCounts | None
    ) -> Callable[[], None]:
        def write() -> None:
            now = self._tables.now()
            left = set() if self._lock.is_held_by(run_id) else self._events.taken_over(table, results, run_id)
            keys = [result.key for key, result in results.items() if key not in left]
            queue = ByKey((entry.key, entry) for entry in self._queue.among(table, keys))
            news = [
                (result, entry)
                for key, result in results.items()
                if key not in left and (entry := queued(result, queue.get(result.key), run_id, now)) is not None
            ]
            said = self._noted.among(table, results)
            changed = said.union(fold(result.key) for result, entry in news if entry.state == "resolved")
            ours = {key: result for key, result in results.items() if result.pushed or key not in left}
            self._events.add(
                [
                    result
                    for key, result in ours.items()
                    if result.outcome != "unchanged" or result.warnings or key in changed
                ],
                run_id,
                now,
            )
            if counts is not None:
                self._runs.enter_counts(run_id, counts)
            self._queue.put([entry for _, entry in news], [queue[e.key].key for _, e in news if e.key in queue])
            self._known.put(table, ours, run_id, now)
            self._noted.put(table, ours, said.intersection(ours))

        return write

    def record_and_hold(self, result: RecordResult, run_id: str, counts: RunCounts, why: str) -> None:
        """Enters how a record ended and holds it, in one transaction."""

        def write() -> None:
            self.record([result], run_id, counts)
            self._queue.set_states([(result.table, result.key)], "held", why)

        self._tables.atomically("retry_queue", write)
