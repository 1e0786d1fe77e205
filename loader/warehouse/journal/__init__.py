"""What the loader did, in tables beside the staged records: runs, events, the retry queue, known CRM ids, the lock.

dbt's YAML defines the columns (models/journal/). The journal creates missing tables and adds new columns.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Literal

from loader.warehouse.connection import Warehouse
from loader.warehouse.journal.events import Events
from loader.warehouse.journal.here import Clock, process_exists, this_host, utc_now
from loader.warehouse.journal.known import KnownRecords
from loader.warehouse.journal.lock import LOCK_NAME, Lock
from loader.warehouse.journal.noted import NotedRecords
from loader.warehouse.journal.queue import Queue
from loader.warehouse.journal.recording import Recording
from loader.warehouse.journal.records import (
    FROM_NOW_ON,
    WAITING,
    WHOLE,
    Action,
    ByKey,
    Equal,
    Event,
    KnownRecord,
    Outcome,
    Purged,
    QueueEntry,
    QueueState,
    RecordResult,
    RunCounts,
    RunOutcome,
    RunRecord,
    RunStart,
    short_id,
)
from loader.warehouse.journal.retention import purge
from loader.warehouse.journal.runs import Runs, run_record
from loader.warehouse.journal.schema import INDEXES, SCHEMA_VERSION, Schema
from loader.warehouse.journal.state import Link, LookedUp, State, States
from loader.warehouse.journal.tables import AT_A_TIME, TableDefinition, Tables

__all__ = [
    "AT_A_TIME",
    "FROM_NOW_ON",
    "INDEXES",
    "LOCK_NAME",
    "SCHEMA_VERSION",
    "WAITING",
    "WHOLE",
    "Action",
    "ByKey",
    "Clock",
    "Equal",
    "Event",
    "Journal",
    "KnownRecord",
    "Link",
    "LookedUp",
    "Outcome",
    "Purged",
    "QueueEntry",
    "QueueState",
    "RecordResult",
    "RunCounts",
    "RunOutcome",
    "RunRecord",
    "RunStart",
    "State",
    "TableDefinition",
    "process_exists",
    "run_record",
    "short_id",
    "this_host",
    "utc_now",
]


class Journal:
    """The journal's tables. Reading needs no preparation; a command that writes calls `prepare` first.

    A table that does not exist yet is read as empty. `line_tables` maps each CRM table to the table of its lines,
    because version 1 of the journal did not record that.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        tables: Mapping[str, TableDefinition],
        clock: Clock | None = None,
        line_tables: Mapping[str, str] | None = None,
        at_a_time: int = AT_A_TIME,
    ) -> None:
        self.started: str | None = None
        """The last run that was started here."""
        self._tables = Tables(warehouse, tables, clock)
        self._lock = Lock(self._tables)
        self._runs = Runs(self._tables, self._lock)
        self._events = Events(self._tables, line_tables or {}, at_a_time)
        self._schema = Schema(self._tables, self._events)
        self._queue = Queue(self._tables)
        self._known = KnownRecords(self._tables)
        self._states = States(self._tables, self._lock)
        self._noted = NotedRecords(self._tables)
        self._recording = Recording(
            self._tables, self._lock, self._runs, self._events, self._queue, self._known, self._noted
        )

    def now(self) -> dt.datetime:
        """The database's clock, which runs on all machines use. UTC, in milliseconds."""
        return self._tables.now()

    def prepare(self) -> None:
        """Creates missing tables and adds missing columns; refuses a journal that a newer loader has written."""
        self._schema.prepare()

    # ------------------------------------------------------------------------------------------------------------ lock

    def acquire(self, run: RunStart, lease_seconds: int = 120) -> None:
        """Takes the lock for `run`, or raises AnotherRunActive, which names the holder.

        If the holder is gone, the lock is taken over and its run is marked as died.
        """
        self._lock.acquire(run, lease_seconds)

    def renew(self) -> None:
        """Extends the lease. Raises LockLost if another run has taken over the lock and may be pushing."""
        self._lock.renew()

    def ensure_held(self) -> None:
        """Called before each write to CRM, by the thread that sends it. Renews a lease that may have ended.

        Raises LockLost if that is no longer possible, so that two runs never write at the same time.
        """
        self._lock.ensure_held()

    def release(self) -> None:
        """Releases the lock, unless another run has taken it over."""
        self._lock.release()

    def holding(self, run: RunStart, lease_seconds: int = 120) -> AbstractContextManager[None]:
        """Holds the lock during a block. A thread renews the lease; `ensure_held` raises LockLost if it could not."""
        return self._lock.holding(run, lease_seconds)

    # ------------------------------------------------------------------------------------------------------------ runs

    def start(self, run: RunStart) -> None:
        """Records the run as running."""
        self._runs.start(run)
        self.started = run.run_id

    def refuse_other_crm(self, organization_id: str, crm_url: str) -> None:
        """Raises GuardTripped if the journal, with its ids, shares and queue, belongs to another CRM organisation."""
        self._runs.refuse_other_crm(organization_id, crm_url)

    def enter_crm(self, run_id: str, organization_id: str) -> None:
        """Records the organisation that a run writes to. From then on, the journal belongs to it."""
        self._runs.enter_crm(run_id, organization_id)

    def finish(self, run_id: str, counts: RunCounts, outcome: RunOutcome, message: str | None = None) -> None:
        """Records how the run ended."""
        self._runs.finish(run_id, counts, outcome, message)

    def runs(self, limit: int = 20) -> list[RunRecord]:
        """The latest runs, newest first."""
        return self._runs.latest(limit)

    def settled(self, runs: Sequence[RunRecord]) -> list[RunRecord]:
        """The same runs, where one that has no end although its process is gone has died."""
        return self._runs.settled(runs)

    def run(self, run_id: str) -> RunRecord:
        """The run with this id, or with the only id that begins like this. Raises NotFound."""
        return self._runs.one(run_id)

    # ------------------------------------------------------------------------------------------------ how records ended

    def record(self, results: Sequence[RecordResult], run_id: str, counts: RunCounts | None = None) -> None:
        """Enters how records ended: events, the retry queue and the CRM ids, all in one short transaction."""
        self._recording.record(results, run_id, counts)

    def record_and_hold(self, result: RecordResult, run_id: str, counts: RunCounts, why: str) -> None:
        """Enters how a record ended and holds it, in one transaction."""
        self._recording.record_and_hold(result, run_id, counts, why)

    def events(
        self, run_id: str | None = None, key: str | None = None, limit: int | None = None, table: str | None = None
    ) -> list[Event]:
        """Events of a run in their order, or of a record (or all), newest first."""
        return self._events.found(run_id, key, limit, table)

    def events_of_run(self, run_id: str, tables: Collection[str] = ()) -> Iterator[Event]:
        """The events of a run in their order, or those of these CRM tables, without keeping them all in memory."""
        return self._events.of_run(run_id, tables)

    # ----------------------------------------------------------------------------------------------------- retry queue

    def queue(self, states: Iterable[QueueState] | None = WAITING, limit: int | None = None) -> list[QueueEntry]:
        """The queue's entries, the oldest first: by default the unresolved, or those in `states` (None: all)."""
        return self._queue.entries(states, limit)

    def queue_of(self, key: str) -> list[QueueEntry]:
        """The unresolved entries with this key, in any table."""
        return self._queue.of(key)

    def queue_counts(self, tables: Collection[str] = ()) -> dict[QueueState, int]:
        """How many records are waiting, by state, or those of these CRM tables."""
        counts = [states for table, states in self._queue.counts().items() if not tables or table in tables]
        return {state: sum(each[state] for each in counts) for state in WAITING}

    def queue_counts_by_table(self) -> dict[str, dict[QueueState, int]]:
        """The same for each CRM table that has entries."""
        return self._queue.counts()

    def news_of_queue(self, run_id: str, limit: int) -> tuple[list[QueueEntry], dict[str, int], int]:
        """The first of the records that wait since a run, how many they are by table, and how many it resolved."""
        return self._queue.news(run_id, limit)

    def open_keys(self, table: str) -> list[str]:
        """The keys of the entries that are open."""
        return self._queue.open_keys(table)

    def keys_in_queue(self, table: str, states: Iterable[QueueState], among: Collection[str]) -> dict[str, QueueState]:
        """Folded key → state, for the entries whose key is `among` these."""
        return self._queue.states_of(table, states, among)

    def set_state(
        self, table: str, key: str, state: Literal["held", "ignored", "open"], why: str = "by hand"
    ) -> QueueEntry:
        """Holds or ignores a record, or releases it (`open`). Returns the new entry. Raises NotFound."""
        return self.set_states([(table, key)], state, why)[0]

    def set_states(
        self, records: Sequence[tuple[str, str]], state: Literal["held", "ignored", "open"], why: str = "by hand"
    ) -> list[QueueEntry]:
        """The same for many records, by table and key, in one transaction: all of them or, if it raises, none."""
        return self._queue.set_states(records, state, why)

    def held_or_ignored(self, table: str) -> Mapping[str, QueueState]:
        """The records that somebody holds back or ignores."""
        return self._queue.held_or_ignored(table)

    def resolve_left_scope(self, table: str, present_keys: Iterable[str]) -> list[str]:
        """Resolves open and held entries of records that are no longer staged. Returns their keys."""
        return self._queue.resolve_left_scope(table, present_keys)

    # --------------------------------------------------------------------------------------------------------- CRM ids

    def known_records(
        self, table: str, *, ids: Collection[str] | None = None, keys: Collection[str] | None = None
    ) -> Mapping[str, KnownRecord]:
        """The known CRM record of every key; of these CRM ids, in small letters; or of these folded keys."""
        return self._known.entries(table, ids, keys)

    def latest_records(self, table: str, limit: int) -> list[KnownRecord]:
        """The records that were written last, newest first."""
        return self._known.latest(table, limit)

    def known_keys(self, table: str, among: Collection[str]) -> Mapping[str, Equal | None]:
        """The folded keys of known records that are `among` these, each with what it was last found equal with."""
        return self._known.known_keys(table, among)

    def note_closed(self, table: str, keys: Collection[str]) -> None:
        """Remembers that CRM has closed these records, whoever closed them."""
        if keys:
            self._tables.atomically("crm_xref", lambda: self._known.close(table, keys))

    def crm_ids(self, table: str) -> frozenset[str]:
        """The CRM ids of all known records, in small letters."""
        return self._known.ids(table)

    def open_known_keys(self, table: str) -> list[str]:
        """The keys of the known records that are not known as closed in CRM."""
        return self._known.open_keys(table)

    def known_keys_folded(self, table: str) -> frozenset[str]:
        """The folded keys of all known records."""
        return self._known.keys(table)

    def witnesses(self) -> dict[str, str]:
        """By table, the CRM id of the record that was written last of those that were found equal to CRM's since."""
        return self._known.witnesses()

    def shares(self, table: str) -> Mapping[str, tuple[str | None, str | None]]:
        """CRM id → with whom the record was shared, and with whom CRM refused to share it; only where there is one."""
        return self._known.shares(table)

    def known_rows(self, table: str) -> str | None:
        """A select of the records with what they were compared: match_key, crm_id, digest, line_ids; and of which there
        is something to say: outcome, reason, message, warnings. None before the journal has them.
        """
        return self._known.rows(table)

    def noted_keys(self, table: str, among: Collection[str]) -> set[str]:
        """Those of these folded keys of which something was said."""
        return self._noted.among(table, among)

    def absent_keys(self, table: str) -> list[str]:
        """The keys of the records that are skipped and that CRM does not have."""
        return self._noted.absent(table)

    def forget_compared(self, table: str, keys: Collection[str]) -> None:
        """Has the records with these folded keys compared when they are next staged."""

        def forget() -> None:
            self._known.forget_equal(table, keys)
            self._noted.forget(table, keys)

        if keys:
            self._tables.atomically("retry_queue", forget)

    def waiting_keys(self, table: str) -> str | None:
        """A select of the folded keys that are open, held or ignored in the queue; None before there is a queue."""
        return self._queue.waiting_keys(table)

    # --------------------------------------------------------------------------------------------- comparing by change

    def state(self) -> State:
        """What the last run that settled everything left; nothing if none did."""
        return self._states.read()

    def put_state(self, state: State, looked_up: Mapping[str, Iterable[LookedUp]] | None, run_id: str) -> None:
        """Replaces what was known, and by table the looked-up rows where they are given, if the run holds the lock."""
        self._states.put(state, looked_up, run_id)

    def looked_up(self, table: str) -> set[LookedUp]:
        """By which values the rows of a table were found."""
        return self._states.looked_up(table)

    def add_looked_up(self, rows: Mapping[str, Collection[LookedUp]]) -> None:
        """Adds some by table that are not known; what was known stays."""
        self._states.add_looked_up(rows)

    # ------------------------------------------------------------------------------------------------------- retention

    def purge(self, retention_days: int, witness: dt.datetime | None = None) -> Purged:
        """Deletes runs and events that are old by this clock and by `witness`, and entries resolved before then."""
        return purge(self._tables, retention_days, witness)
