"""What the loader did, in tables beside the staged orders: runs, events, the retry queue, known CRM ids, the lock.

The tables' columns are dbt's (models/journal/): the journal creates what is missing and adds columns that are new.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import socket
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from typing import Any, Generic, Literal, Protocol, TypeVar

import psutil
import simplejson

from loader.errors import (
    AnotherRunActive,
    GuardTripped,
    LoaderError,
    LockLost,
    NotFound,
    UsageError,
    WarehouseUnavailable,
)
from loader.keys import fold
from loader.warehouse.connection import Row, Warehouse, columns_of, parts_of, quoted

SCHEMA_VERSION = 1
LOCK_NAME = "push"
INDEXES = {
    "sync_run": "run_id",
    "sync_event": "match_key, crm_table, happened_at, event_no",
    "retry_queue": "match_key, crm_table",
    "crm_xref": "match_key, crm_table",
}
"""Journal table → the columns of its index `ix_<table>` on SQL Server."""
WHOLE = "push"
"""The command that looks at every order: the others say nothing about those that they leave out."""
AT_A_TIME = 20_000
"""Rows of a table that are held together where there may be a million of them."""
FROM_NOW_ON = dt.timedelta(minutes=5)
"""By how much the clocks of two machines may differ before an instant is taken to lie in the future."""

QueueState = Literal["open", "held", "ignored", "resolved"]
WAITING: tuple[QueueState, ...] = ("open", "held", "ignored")
Action = Literal["create", "update", "unchanged", "skip", "block"]
Outcome = Literal["created", "updated", "unchanged", "skipped", "blocked", "failed"]
RunOutcome = Literal["running", "ok", "blocked", "stopped", "error", "interrupted", "died"]
Clock = Callable[[], dt.datetime]
T = TypeVar("T")


def utc_now() -> dt.datetime:
    """Now, UTC, naive, in milliseconds: what both databases store and give back unchanged."""
    return _milliseconds(dt.datetime.now(dt.timezone.utc).replace(tzinfo=None))


def _milliseconds(instant: dt.datetime) -> dt.datetime:
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def this_host() -> str:
    """This machine; a container's own process numbers are told apart from the host's."""
    name = socket.gethostname()[:100]
    try:
        namespace = re.sub(r"\D", "", os.readlink("/proc/self/ns/pid"))
    except OSError:
        return name
    return name if namespace in ("", "4026531836") else f"{name}#{namespace}"


# ------------------------------------------------------------------------------------------------- what goes in and out


class TableDefinition(Protocol):
    """A journal table as dbt declares it."""

    @property
    def relation(self) -> str: ...
    @property
    def columns(self) -> Sequence[tuple[str, str]]: ...


@dataclass(frozen=True)
class RunStart:
    """A run as it begins."""

    run_id: str
    command: str
    crm_url: str
    version: str
    started_at: dt.datetime
    host: str
    pid: int

    @classmethod
    def now(cls, command: str, crm_url: str, version: str, clock: Clock = utc_now) -> RunStart:
        return cls(str(uuid.uuid4()), command, crm_url, version, clock(), this_host(), os.getpid())


@dataclass(frozen=True)
class RunCounts:
    """How a run's orders ended, and what it cost. The first six orders' counts add up to `staged`."""

    staged: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: int = 0
    blocked: int = 0
    failed: int = 0
    lines_created: int = 0
    lines_updated: int = 0
    lines_deleted: int = 0
    requests_read: int = 0
    requests_write: int = 0


@dataclass(frozen=True)
class RunRecord:
    """A row of sync_run."""

    run_id: str
    command: str
    crm_url: str
    started_at: dt.datetime
    finished_at: dt.datetime | None
    outcome: str
    counts: RunCounts
    message: str | None
    host: str
    pid: int
    version: str
    crm_organization_id: str | None = None

    @property
    def is_whole(self) -> bool:
        """It looked at every order."""
        return self.command == WHOLE

    @property
    def is_scheduled(self) -> bool:
        """It pushed whatever a plan of all orders had to push, made by itself or before."""
        return self.command in (WHOLE, "push FILE")

    def ends_after(self, now: dt.datetime) -> bool:
        """Its end lies in the future: the clock that it went by was wrong, or this one is."""
        return self.finished_at is not None and self.finished_at > now + FROM_NOW_ON


@dataclass(frozen=True)
class OrderResult:
    """How one record of a run ended. `pushed`: CRM was written; `changes`, `warnings`, `missing` as in the columns."""

    key: str
    table: str
    crm_id: str | None
    action: Action
    outcome: Outcome
    reason: str | None = None
    message: str | None = None
    changes: Sequence[Mapping[str, object]] | str = ()
    """Or their JSON text."""
    warnings: Sequence[Mapping[str, object]] = ()
    missing: Sequence[Mapping[str, object]] = ()
    request_id: str | None = None
    shared_with: str | None = None
    not_shared_with: str | None = None
    pushed: bool = False
    reached: bool = True
    """False where the run ended before it looked at the record."""


@dataclass(frozen=True)
class Event:
    """A row of sync_event."""

    run_id: str
    event_no: int
    happened_at: dt.datetime
    table: str
    key: str
    crm_id: str | None
    action: str
    outcome: str
    reason: str | None
    message: str | None
    changes: list[dict[str, Any]]
    warnings: list[dict[str, Any]]
    request_id: str | None


@dataclass(frozen=True)
class QueueEntry:
    """A row of retry_queue: an order that did not go, or that someone holds back."""

    table: str
    key: str
    reason: str | None
    message: str | None
    missing: list[dict[str, Any]]
    first_failed_at: dt.datetime | None
    last_failed_at: dt.datetime | None
    attempts: int
    state: QueueState
    resolution: str | None
    run_id: str | None


@dataclass(frozen=True)
class XrefEntry:
    """A row of crm_xref: the CRM record of a key."""

    key: str
    crm_id: str
    first_pushed_at: dt.datetime | None
    last_pushed_at: dt.datetime | None
    shared_with: str | None
    run_id: str | None
    not_shared_with: str | None = None


@dataclass(frozen=True)
class Purged:
    runs: int
    events: int
    queue: int


class ByKey(Mapping[str, T], Generic[T]):
    """A mapping whose keys match as in GP and CRM: case and trailing blanks do not matter."""

    def __init__(self, items: Iterable[tuple[str, T]]) -> None:
        self._items = {fold(key): (key, value) for key, value in items}

    def __getitem__(self, key: str) -> T:
        return self._items[fold(key)][1]

    def __iter__(self) -> Iterator[str]:
        return (key for key, _ in self._items.values())

    def __len__(self) -> int:
        return len(self._items)


# ------------------------------------------------------------------------------------------------------- the journal


class Journal:
    """The five journal tables. Reading needs no preparation; a command that writes calls `prepare` first.

    Reading a table that does not exist yet finds nothing in it.
    """

    def __init__(self, warehouse: Warehouse, tables: Mapping[str, TableDefinition], clock: Clock | None = None) -> None:
        self._warehouse = warehouse
        self._given_clock = clock
        self._lost: str | None = None
        self._tables = {name: _Table(name, table) for name, table in tables.items()}
        self._existing: set[str] | None = None
        self._lease: _Lease | None = None

    def now(self) -> dt.datetime:
        """The database's clock: runs on several machines go by the same one. UTC, in milliseconds."""
        return _milliseconds((self._given_clock or self._warehouse.now)())

    def _here(self) -> dt.datetime:
        """This machine's clock: good for how long ago something was, and needs no statement."""
        return (self._given_clock or utc_now)()

    # -------------------------------------------------------------------------------------------- schema

    def prepare(self) -> None:
        """Creates missing tables and adds missing columns; refuses a journal that a newer loader has written."""

        def migrate() -> None:
            for table in self._tables.values():
                present = self._columns(table)
                if not present:
                    self._create(table)
                for name, data_type in table.columns if present else ():
                    if name.lower() not in present:
                        self._warehouse.execute(f"alter table {table.relation} add {quoted(name)} {data_type}")
                if any(name == "match_key" for name, _ in table.columns):
                    self._fill_match_keys(table)
            self._create_indexes()

        if any(self._is_stale(table) for table in self._tables.values()):
            self._atomically("journal schema", migrate)
        elif self._missing_indexes():  # tables that dbt created
            self._atomically("journal schema", self._create_indexes)
        self._existing = None
        version = self._query("sync_run", "select max(schema_version) from {sync_run}")
        if version and version[0][0] is not None and int(str(version[0][0])) > SCHEMA_VERSION:
            raise UsageError(
                f"The journal has version {version[0][0]}; this loader knows {SCHEMA_VERSION}.",
                "Use the newer loader that wrote it.",
            )

    def _is_stale(self, table: _Table) -> bool:
        present = self._columns(table)
        return any(name.lower() not in present for name, _ in table.columns)

    def _fill_match_keys(self, table: _Table) -> None:
        """Of rows that an older loader wrote."""
        rows = self._warehouse.query(f"select distinct record_key from {table.relation} where match_key is null")
        self._warehouse.executemany(
            f"update {table.relation} set match_key = ? where record_key = ? and match_key is null",
            [(fold(str(key)), key) for (key,) in rows if key is not None],
        )

    def _missing_indexes(self) -> list[str]:
        """Statements that make the indexes that SQL Server needs; DuckDB finds rows without."""
        if self._warehouse.dialect == "duckdb":
            return []
        missing = []
        for name, columns in INDEXES.items():
            relation = self._tables[name].relation
            found = self._warehouse.query(
                "select 1 from sys.index_columns as i"
                " inner join sys.columns as c on c.object_id = i.object_id and c.column_id = i.column_id"
                " where i.object_id = object_id(?) and i.key_ordinal = 1 and c.name = ?",
                [relation, columns.split(",")[0]],
            )
            if not found:
                missing.append(f"create index {quoted(f'ix_{name}')} on {relation} ({columns})")
        return missing

    def _create_indexes(self) -> None:
        for statement in self._missing_indexes():
            self._warehouse.execute(statement)

    def _columns(self, table: _Table) -> set[str]:
        return {name.lower() for name in columns_of(self._warehouse, table.relation)}

    def _create(self, table: _Table) -> None:
        database, schema, _ = table.parts
        if self._warehouse.dialect == "duckdb":
            path = ".".join(quoted(part) for part in (database, schema) if part)
            self._warehouse.execute(f"create schema if not exists {path}")
        elif self._warehouse.query("select schema_id(?)", [schema])[0][0] is None:
            self._warehouse.execute(f"create schema {quoted(schema)}")
        columns = ", ".join(f"{quoted(name)} {data_type}" for name, data_type in table.columns)
        self._warehouse.execute(f"create table {table.relation} ({columns})")

    # ---------------------------------------------------------------------------------------------- lock

    def acquire(self, run: RunStart, lease_seconds: int = 120) -> None:
        """Takes the lock for `run`, or raises AnotherRunActive naming who has it.

        A lock whose lease is over, or whose process on this machine is gone, is taken over; its run is marked died.
        """

        begun = _Lease(run.run_id, dt.timedelta(seconds=lease_seconds), self._here())

        def take() -> None:
            now = self.now()
            held = self._query(
                "sync_lock",
                "select run_id, host, pid, acquired_at, expires_at from {sync_lock} where lock_name = ?",
                [LOCK_NAME],
            )
            for run_id, host, pid, since, until in held:
                if run_id == run.run_id:
                    continue
                if _is_live(host, pid, until, now):
                    raise AnotherRunActive(
                        f"Run {run_id} holds the lock: process {pid} on {host}, since {_second(since)} UTC."
                    )
                message = f"Stopped without reporting a result; run {run.run_id} took over its lock."
                self._execute(
                    "update {sync_run} set outcome = 'died', finished_at = ?, message = ?"
                    " where run_id = ? and outcome = 'running'",
                    [now, message, run_id],
                )
            self._execute("delete from {sync_lock} where lock_name = ?", [LOCK_NAME])
            self._insert(
                "sync_lock",
                {
                    "lock_name": LOCK_NAME,
                    "run_id": run.run_id,
                    "host": run.host,
                    "pid": run.pid,
                    "acquired_at": now,
                    "expires_at": now + dt.timedelta(seconds=lease_seconds),
                },
            )

        self._atomically("sync_lock", take)
        self._lease, self._lost = begun, None

    def renew(self) -> None:
        """Extends the lease. Raises LockLost when another run took the lock over: it may be pushing."""
        lease = self._held_lease()
        renewed = replace(lease, renewed_at=self._here(), tick=time.monotonic())
        changed = self._atomically(
            "sync_lock",
            lambda: self._execute(
                "update {sync_lock} set expires_at = ? where lock_name = ? and run_id = ?",
                [self.now() + lease.duration, LOCK_NAME, lease.run_id],
            ),
        )
        if not changed:
            self._lease, self._lost = None, lease.run_id
            raise _lock_lost(lease.run_id)
        self._lease = renewed

    def ensure_held(self) -> None:
        """Called before each write to CRM, by whichever thread sends it: a lease that may be over is renewed first.

        Raises LockLost where that is no longer possible, so that no two runs ever write.
        """
        if self._held_lease().is_half_over(self._here()):
            self.renew()

    def release(self) -> None:
        """Gives the lock back; a lock that was lost is not ours to give."""
        lease, self._lease = self._lease, None
        if lease is not None:
            self._atomically(
                "sync_lock",
                lambda: self._execute(
                    "delete from {sync_lock} where lock_name = ? and run_id = ?", [LOCK_NAME, lease.run_id]
                ),
            )

    @contextmanager
    def holding(self, run: RunStart, lease_seconds: int = 120) -> Iterator[None]:
        """Holds the lock for a block, while a thread renews the lease; `ensure_held` tells whether it could."""
        self.acquire(run, lease_seconds)
        ended = threading.Event()

        def keep() -> None:
            while not ended.wait(lease_seconds / 4):
                with suppress(LoaderError):  # ensure_held meets the same trouble where it can be acted on
                    self.renew()

        thread = threading.Thread(target=keep, name="lock-renewal", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            with suppress(LoaderError):  # a warehouse that is gone frees the lock when the lease ends
                self.release()

    def _held_lease(self) -> _Lease:
        lease = self._lease
        if lease is None:
            raise _lock_lost(self._lost or "this run")
        return lease

    # ---------------------------------------------------------------------------------------------- runs

    def start(self, run: RunStart) -> None:
        """Enters the run as running."""

        def enter() -> None:
            ((last,),) = self._query("sync_run", "select coalesce(max(run_no), 0) from {sync_run}") or [(0,)]
            self._insert(
                "sync_run",
                {
                    "run_no": int(str(last)) + 1,
                    "run_id": run.run_id,
                    "command": run.command,
                    "crm_url": run.crm_url,
                    "started_at": run.started_at,
                    "outcome": "running",
                    **asdict(RunCounts()),
                    "host": run.host,
                    "pid": run.pid,
                    "version": run.version,
                    "schema_version": SCHEMA_VERSION,
                },
            )

        self._atomically("sync_run", enter)

    def refuse_other_crm(self, organization_id: str, crm_url: str) -> None:
        """Raises GuardTripped where the journal belongs to another CRM organisation: its ids, shares and queue do.

        A journal that was written before organisations were entered is known by the address of its last run.
        """
        known = self._owner()
        if known is None:
            return
        id_, url = known
        if id_ is None:
            if _address(url) == _address(crm_url):
                return
            theirs = url
        elif id_.lower() == organization_id.lower():
            return
        else:
            theirs = f"{url} (organisation {id_})"
        raise GuardTripped(
            f"The journal belongs to {theirs}; CRM_URL is {crm_url} (organisation {organization_id})."
            " Nothing was written.",
            "Correct CRM_URL, or give each organisation a schema or file of its own (docs/operating.md, Two targets).",
        )

    def _owner(self) -> tuple[str | None, str] | None:
        """The organisation's id, where it was entered, and address."""
        last = " order by started_at desc, run_id"
        for condition in ("crm_organization_id is not null", "outcome in ('ok', 'blocked', 'interrupted')"):
            if "crm_organization_id" in condition and not self._has("sync_run", "crm_organization_id"):
                continue
            column = "crm_organization_id" if "crm_organization_id" in condition else "null"
            rows = self._query(
                "sync_run",
                self._limited(f"select {column}, crm_url from {{sync_run}} where {condition}{last}", 1),
            )
            for id_, url in rows:
                return str(id_) if id_ else None, str(url or "")
        return None

    def enter_crm(self, run_id: str, organization_id: str) -> None:
        """Enters the organisation that a run writes to: from then on the journal belongs to it."""
        self._atomically(
            "sync_run",
            lambda: self._execute(
                "update {sync_run} set crm_organization_id = ? where run_id = ?", [organization_id, run_id]
            ),
        )

    def finish(self, run_id: str, counts: RunCounts, outcome: RunOutcome, message: str | None = None) -> None:
        """Enters how the run ended."""
        self._atomically(
            "sync_run",
            lambda: self._set_run(
                run_id, {"finished_at": self.now(), "outcome": outcome, "message": message, **asdict(counts)}
            ),
        )

    def _set_run(self, run_id: str, values: Mapping[str, object]) -> None:
        assignments = ", ".join(f"{name} = ?" for name in values)
        self._execute(f"update {{sync_run}} set {assignments} where run_id = ?", [*values.values(), run_id])

    def runs(self, limit: int = 20) -> list[RunRecord]:
        """The latest runs, newest first."""
        return self._runs("", [], limit)

    def run(self, run_id: str) -> RunRecord:
        """The run of this id, or of the only id that begins so. Raises NotFound."""
        wanted = run_id.strip().lower()
        found = self._runs("where lower(left(run_id, ?)) = ?", [len(wanted), wanted], 2) if wanted else []
        if not found:
            raise NotFound(f"There is no run {run_id!r}.", "`loader status` lists the runs.")
        if len(found) > 1:
            raise NotFound(f"More than one run begins with {run_id!r}.", "Give more of its id.")
        return found[0]

    def _runs(self, where: str, params: Sequence[object], limit: int) -> list[RunRecord]:
        names = [each.name for each in fields(RunRecord) if each.name != "counts"]
        numbers = [each.name for each in fields(RunCounts)]
        selected = [quoted(name) if self._has("sync_run", name) else "null" for name in names + numbers]
        number = "coalesce(run_no, 0) desc, " if self._has("sync_run", "run_no") else ""
        rows = self._query(
            "sync_run",
            self._limited(
                f"select {', '.join(selected)} from {{sync_run}} {where} order by {number}started_at desc, run_id",
                limit,
            ),
            params,
        )
        found = [_run_record(dict(zip(names + numbers, row, strict=True)), numbers) for row in rows]
        if any(run.outcome == "running" for run in found):
            live = self._live_runs()
            found = [self._died(run) if run.outcome == "running" and run.run_id not in live else run for run in found]
        return found

    def _live_runs(self) -> set[str]:
        now = self.now()
        held = self._query("sync_lock", "select run_id, host, pid, expires_at from {sync_lock}")
        return {str(run_id) for run_id, host, pid, until in held if _is_live(host, pid, until, now)}

    def _died(self, run: RunRecord) -> RunRecord:
        """A run that nobody has entered as dead yet: it ended no sooner than its last event."""
        rows = self._query("sync_event", "select max(happened_at) from {sync_event} where run_id = ?", [run.run_id])
        last = rows[0][0] if rows else None
        ended = last if isinstance(last, dt.datetime) else run.started_at
        return replace(run, outcome="died", finished_at=ended, message="Stopped without reporting a result.")

    # -------------------------------------------------------------------------------------------- events

    def record(self, results: Sequence[OrderResult], run_id: str, counts: RunCounts | None = None) -> None:
        """Enters how orders ended: events, the retry queue and the CRM ids, all in one short transaction.

        `counts` are the run's so far: should it die, they are what it did. An order without news gets no event:
        unchanged, without warnings, and not in the queue before. A run that lost its lock leaves to the run that took
        it over what that one has looked at.
        """
        for table in dict.fromkeys(result.table for result in results):
            # The last word on a key counts, should it come twice.
            latest = {fold(result.key): result for result in results if result.table == table}
            self._atomically("retry_queue", self._recording(table, latest, run_id, counts))

    def _recording(
        self, table: str, results: Mapping[str, OrderResult], run_id: str, counts: RunCounts | None
    ) -> Callable[[], None]:
        def write() -> None:
            now = self.now()
            left = self._taken_over(table, results, run_id) if self._lost == run_id else set()
            keys = [result.key for key, result in results.items() if key not in left]
            queue = ByKey((entry.key, entry) for entry in self._queue_of(table, keys))
            queued = [
                (result, entry)
                for key, result in results.items()
                if key not in left and (entry := _queued(result, queue.get(result.key), run_id, now)) is not None
            ]
            resolved = {fold(result.key) for result, entry in queued if entry.state == "resolved"}
            self._add_events(
                [
                    result
                    for key, result in results.items()
                    if (result.outcome != "unchanged" or result.warnings or key in resolved)
                    and (result.pushed or key not in left)
                ],
                run_id,
                now,
            )
            if counts is not None:
                self._set_run(run_id, asdict(counts))
            self._put_queue([entry for _, entry in queued], [queue[e.key].key for _, e in queued if e.key in queue])
            self._put_xref(table, results, run_id, now)

        return write

    def _taken_over(self, table: str, results: Mapping[str, OrderResult], run_id: str) -> set[str]:
        """The keys that runs which began after this one have looked at, or are to look at."""
        later = self._query(
            "sync_run",
            "select run_id, command from {sync_run}"
            " where run_no > (select coalesce(max(run_no), 0) from {sync_run} where run_id = ?)",
            [run_id],
        )
        if any(command == WHOLE for _, command in later):
            return set(results)
        found: set[str] = set()
        for run, _ in later:
            rows = self._query(
                "sync_event", "select record_key from {sync_event} where run_id = ? and crm_table = ?", [run, table]
            )
            found |= {fold(str(key)) for (key,) in rows}
        return found & results.keys()

    def _add_events(self, results: Sequence[OrderResult], run_id: str, now: dt.datetime) -> None:
        if not results:
            return
        last = self._query(
            "sync_event", "select coalesce(max(event_no), 0) from {sync_event} where run_id = ?", [run_id]
        )
        first = int(str(last[0][0])) + 1
        self._insert(
            "sync_event",
            *(
                {
                    "run_id": run_id,
                    "event_no": number,
                    "happened_at": now,
                    "crm_table": result.table,
                    **_keys(result.key),
                    "crm_id": result.crm_id,
                    "action": result.action,
                    "outcome": result.outcome,
                    "reason": result.reason,
                    "message": result.message,
                    "changes": _json(result.changes),
                    "warnings": _json(result.warnings),
                    "request_id": result.request_id,
                }
                for number, result in enumerate(results, first)
            ),
        )

    def events(self, run_id: str | None = None, key: str | None = None, limit: int | None = None) -> list[Event]:
        """Events of a run in their order, or of an order (or all), newest first."""
        conditions: list[str] = []
        params: list[object] = []
        if run_id is not None:
            conditions.append("run_id = ?")
            params.append(run_id)
        if key is not None:
            conditions.append("match_key = ?")
            params.append(fold(key))
        newest_first = run_id is None or key is not None
        rows = self._query(
            "sync_event",
            self._limited(
                "select run_id, event_no, happened_at, crm_table, record_key, crm_id, action, outcome, reason,"
                " message, changes, warnings, request_id from {sync_event}"
                + (f" where {' and '.join(conditions)}" if conditions else "")
                + (" order by happened_at desc, event_no desc" if newest_first else " order by event_no"),
                limit,
            ),
            params,
        )
        return [
            Event(*row[:10], _list(row[10]), _list(row[11]), row[12])  # type: ignore[arg-type, call-arg]
            for row in rows
        ]

    # --------------------------------------------------------------------------------------- retry queue

    def queue(self, states: Iterable[QueueState] | None = WAITING, limit: int | None = None) -> list[QueueEntry]:
        """The queue's entries, longest waiting first; those not resolved, or in `states`, or (None) all."""
        rows = self._query(
            "retry_queue",
            self._limited(
                f"select {_QUEUE_COLUMNS} from {{retry_queue}} where {_in_states(states)}"
                " order by coalesce(first_failed_at, cast('9999-12-31' as date)), crm_table, record_key",
                limit,
            ),
        )
        return [_queue_entry(row) for row in rows]

    def queue_of(self, key: str) -> list[QueueEntry]:
        """The entries of one order that are not resolved, whatever their table."""
        rows = self._query(
            "retry_queue",
            f"select {_QUEUE_COLUMNS} from {{retry_queue}} where match_key = ? and state <> 'resolved'",
            [fold(key)],
        )
        return [_queue_entry(row) for row in rows]

    def queue_counts(self) -> dict[QueueState, int]:
        """How many orders wait, by state. The queue itself may be too long to be read for that."""
        counts: dict[QueueState, int] = dict.fromkeys(WAITING, 0)
        for state, number in self._query("retry_queue", "select state, count(*) from {retry_queue} group by state"):
            if state in counts:
                counts[state] = int(str(number))  # type: ignore[index]
        return counts

    def reasons_in_queue(self, limit: int) -> list[tuple[str, str, int, dt.datetime | None]]:
        """Table, reason, number of open entries and since when the first of them waits; the most frequent first."""
        rows = self._query(
            "retry_queue",
            self._limited(
                "select crm_table, coalesce(reason, ''), count(*), min(first_failed_at) from {retry_queue}"
                " where state = 'open' group by crm_table, coalesce(reason, '') order by count(*) desc",
                limit,
            ),
        )
        return [(str(table), str(reason), int(str(number)), since) for table, reason, number, since in rows]  # type: ignore[misc]

    def missing_in_queue(self, limit: int) -> list[tuple[list[dict[str, Any]], int, dt.datetime | None, str]]:
        """What open entries lack: the list, how many have it, since when, and one of them; the most frequent first."""
        rows = self._query(
            "retry_queue",
            self._limited(
                "select missing, count(*), min(first_failed_at), min(record_key) from {retry_queue}"
                " where state = 'open' and missing <> '[]' group by missing order by count(*) desc",
                limit,
            ),
        )
        return [(_list(missing), int(str(number)), since, str(key)) for missing, number, since, key in rows]  # type: ignore[misc]

    def open_among(self, table: str, keys: Collection[str]) -> Iterator[QueueEntry]:
        """The open entries of these keys, given as they are compared; without their messages."""
        columns = "crm_table, record_key, reason, missing, first_failed_at, last_failed_at, attempts, state, run_id"
        for rows in self._among("retry_queue", columns, f"{_in_states(['open'])} and {_is_table(table)}", keys):
            for own_table, key, reason, missing, *rest, run_id in rows:
                if fold(str(key)) in keys:
                    yield _queue_entry((own_table, key, reason, None, missing, *rest, None, run_id))

    def keys_in_queue(self, table: str, states: Iterable[QueueState], among: Collection[str]) -> dict[str, QueueState]:
        """Key as it is compared → state, of the entries whose key is `among` these."""
        where = f"{_in_states(states)} and {_is_table(table)}"
        return {
            key: state  # type: ignore[misc]
            for rows in self._among("retry_queue", "record_key, state", where, among)
            for key, state in ((fold(str(key)), state) for key, state in rows)
            if key in among
        }

    def set_state(
        self, table: str, key: str, state: Literal["held", "ignored", "open"], why: str = "by hand"
    ) -> QueueEntry:
        """Holds or ignores an order, or releases it (`open`). Gives the entry as it is now.

        An order that never failed can be held or ignored too; its release resolves the entry. Releasing an order that
        is not in the queue raises NotFound. The caller makes sure that the order exists.
        """

        def change() -> QueueEntry:
            found = [entry for entry in self._queue_of(table, [key]) if fold(entry.key) == fold(key)]
            entry = found[0] if found else None
            changed = _released(entry, key) if state == "open" else _put_aside(entry, table, key, state, why)
            if changed != entry:
                self._put_queue([changed], [e.key for e in found])
            return changed

        return self._atomically("retry_queue", change)

    def record_and_hold(self, result: OrderResult, run_id: str, counts: RunCounts, why: str) -> None:
        """Enters how an order ended and holds it, both or neither."""

        def write() -> None:
            self.record([result], run_id, counts)
            self.set_state(result.table, result.key, "held", why)

        self._atomically("retry_queue", write)

    def held_or_ignored(self, table: str) -> Mapping[str, QueueState]:
        """The orders that someone holds back or ignores."""
        rows = self._query(
            "retry_queue",
            "select record_key, state from {retry_queue} where crm_table = ? and state in ('held', 'ignored')",
            [table],
        )
        return ByKey((str(key), state) for key, state in rows)  # type: ignore[misc]

    def resolve_left_scope(self, table: str, present_keys: Iterable[str]) -> list[str]:
        """Resolves open and held entries of orders that are no longer staged; gives their keys."""
        present = {fold(key) for key in present_keys}
        where = f"{_in_states(['open', 'held'])} and {_is_table(table)}"
        blocks = self._blocks("retry_queue", "record_key", where)
        left = [str(key) for rows in blocks for (key,) in rows if fold(str(key)) not in present]

        def resolve(some: list[str]) -> None:
            for condition, params in self._warehouse.matching("match_key", map(fold, some)):
                self._execute(
                    "update {retry_queue} set state = 'resolved', resolution = 'left_scope'"
                    f" where crm_table = ? and state in ('open', 'held') and {condition}",
                    [table, *params],
                )

        for start in range(0, len(left), AT_A_TIME):
            self._atomically("retry_queue", partial(resolve, left[start : start + AT_A_TIME]))
        return sorted(left)

    def _queue_of(self, table: str, keys: Iterable[str]) -> Iterator[QueueEntry]:
        for condition, params in self._warehouse.matching("match_key", sorted(map(fold, keys))):
            yield from map(
                _queue_entry,
                self._query(
                    "retry_queue",
                    f"select {_QUEUE_COLUMNS} from {{retry_queue}} where crm_table = ? and {condition}",
                    [table, *params],
                ),
            )

    def _put_queue(self, entries: Sequence[QueueEntry], replaced: Iterable[str]) -> None:
        if not entries:
            return
        for condition, params in self._warehouse.matching("match_key", map(fold, replaced)):
            self._execute(
                f"delete from {{retry_queue}} where crm_table = ? and {condition}", [entries[0].table, *params]
            )
        self._insert(
            "retry_queue",
            *(
                {
                    "crm_table": entry.table,
                    **_keys(entry.key),
                    **{name: getattr(entry, name) for name in _QUEUE_FIELDS},
                    "missing": _json(entry.missing),
                }
                for entry in entries
            ),
        )

    # ------------------------------------------------------------------------------------------- CRM ids

    def xref(self, table: str) -> Mapping[str, XrefEntry]:
        """The known CRM record of every key."""
        rows = self._query("crm_xref", f"select {_XREF_COLUMNS} from {{crm_xref}} where crm_table = ?", [table])
        return ByKey((str(row[0]), XrefEntry(*row)) for row in rows)  # type: ignore[arg-type]

    def latest_xref(self, table: str, limit: int) -> list[XrefEntry]:
        """The records that were written last, newest first."""
        rows = self._query(
            "crm_xref",
            self._limited(
                f"select {_XREF_COLUMNS} from {{crm_xref}} where crm_table = ?"
                " order by coalesce(last_pushed_at, cast('1900-01-01' as date)) desc, record_key",
                limit,
            ),
            [table],
        )
        return [XrefEntry(*row) for row in rows]  # type: ignore[arg-type]

    def known_keys(self, table: str, among: Collection[str]) -> set[str]:
        """The keys, as they are compared, of known records that are `among` these."""
        found = self._among("crm_xref", "record_key", _is_table(table), among)
        return {key for rows in found for key in (fold(str(row[0])) for row in rows) if key in among}

    def crm_ids(self, table: str, keys: Iterable[str]) -> dict[str, str]:
        """Key as it is compared → CRM id, of those of these keys that are known."""
        return {
            fold(str(key)): str(crm_id)
            for condition, params in self._warehouse.matching("match_key", sorted(set(map(fold, keys))))
            for key, crm_id in self._query(
                "crm_xref",
                f"select record_key, crm_id from {{crm_xref}} where crm_table = ? and {condition}",
                [table, *params],
            )
        }

    def _put_xref(self, table: str, results: Mapping[str, OrderResult], run_id: str, now: dt.datetime) -> None:
        known_ids = [r for r in results.values() if r.crm_id and r.outcome in ("created", "updated", "unchanged")]
        if not known_ids:
            return
        known: dict[str, XrefEntry] = {}
        keys = sorted(fold(result.key) for result in known_ids)
        for condition, params in self._warehouse.matching("match_key", keys):
            for row in self._query(
                "crm_xref",
                f"select {_XREF_COLUMNS} from {{crm_xref}} where crm_table = ? and {condition}",
                [table, *params],
            ):
                known[fold(str(row[0]))] = XrefEntry(*row)  # type: ignore[arg-type]
        changed: list[XrefEntry] = []
        replaced: list[str] = []
        for result in known_ids:
            before = known.get(fold(result.key))
            after = _xref_entry(result, before, run_id, now)
            if after != before:
                changed.append(after)
                replaced += [before.key] if before else []
        for condition, params in self._warehouse.matching("match_key", map(fold, replaced)):
            self._execute(f"delete from {{crm_xref}} where crm_table = ? and {condition}", [table, *params])
        self._insert("crm_xref", *({"crm_table": table, **_keys(e.key), **_without_key(e)} for e in changed))

    # ------------------------------------------------------------------------------------------ retention

    def purge(self, retention_days: int, witness: dt.datetime | None = None) -> Purged:
        """Deletes runs and events that are older, and queue entries resolved by then.

        `witness` is another clock's time: what is deleted is older by both, for a clock that is years ahead once would
        take everything. What is open, held or ignored stays however old it is, and so do the CRM ids.
        """
        before = min(self.now(), witness or dt.datetime.max) - dt.timedelta(days=retention_days)

        def delete() -> Purged:
            events = self._execute("delete from {sync_event} where happened_at < ?", [before])
            queue = self._execute(
                "delete from {retry_queue} where state = 'resolved' and coalesce(last_failed_at, ?) < ?",
                [dt.datetime(1900, 1, 1), before],
            )
            runs = self._execute(
                "delete from {sync_run} where started_at < ? and run_id not in (select run_id from {sync_lock})",
                [before],
            )
            return Purged(runs, events, queue)

        return self._atomically("retry_queue", delete)

    # ------------------------------------------------------------------------------------------ statements

    def _atomically(self, name: str, work: Callable[[], T]) -> T:
        """Runs `work` in a transaction that no other one of this name runs beside; tries again what may pass."""
        for pause in (0.2, 1.0):
            try:
                with self._warehouse.exclusive(name):
                    return work()
            except WarehouseUnavailable:  # in the way, or a connection that can be opened again
                time.sleep(pause)
        with self._warehouse.exclusive(name):
            return work()

    def _sql(self, statement: str) -> str:
        return statement.format(**{name: table.relation for name, table in self._tables.items()})

    def _execute(self, statement: str, params: Sequence[object] = ()) -> int:
        return self._warehouse.execute(self._sql(statement), params)

    def _has(self, table: str, column: str) -> bool:
        """A journal that an older loader wrote may lack columns until the next run that writes."""
        return column in self._columns(self._tables[table])

    def _query(self, table: str, statement: str, params: Sequence[object] = ()) -> list[Row]:
        if self._existing is None:
            self._existing = {name for name, known in self._tables.items() if self._columns(known)}
        if table not in self._existing:
            return []
        return self._warehouse.query(self._sql(statement), params)

    def _among(self, table: str, columns: str, where: str, keys: Collection[str]) -> Iterator[list[Row]]:
        """Rows with these keys, perhaps with others: never many more than there are keys. `where` has no parameters."""
        counted = self._query(table, f"select count(*) from {{{table}}} where {where}")
        if not counted or not keys:
            return
        select = f"select {columns} from {{{table}}} where {where}"
        if int(str(counted[0][0])) <= len(keys) + AT_A_TIME:
            yield self._query(table, select)
            return
        for condition, params in self._warehouse.matching("match_key", sorted(keys)):
            yield self._query(table, f"{select} and {condition}", params)

    def _blocks(self, table: str, columns: str, where: str) -> Iterator[list[Row]]:
        """Rows of a table, without holding them all. `where` has no parameters."""
        counted = self._query(table, f"select count(*) from {{{table}}} where {where}")
        if not counted:
            return
        if int(str(counted[0][0])) <= AT_A_TIME:
            yield self._query(table, f"select {columns} from {{{table}}} where {where}")
            return
        side = self._warehouse.side()
        try:
            numbered = f"select row_number() over (order by record_key) as block_no, {columns} from {{{table}}}"
            kept = side.keep("blocks", self._sql(f"{numbered} where {where}"), sorted_by="block_no")
            start = 0
            while rows := side.query(
                f"select {columns} from {kept} where block_no > ? and block_no <= ? order by block_no",
                [start, start + AT_A_TIME],
            ):
                yield rows
                start += AT_A_TIME
        finally:
            side.close()

    def _insert(self, table: str, *rows: Mapping[str, object]) -> None:
        if not rows:
            return
        target = self._tables[table]
        columns = [(name, kind) for name, kind in target.columns if name in rows[0]]
        self._warehouse.insert(
            target.relation,
            columns,
            [tuple(_fitting(row[name], target.widths.get(name)) for name, _ in columns) for row in rows],
        )

    def _limited(self, statement: str, limit: int | None) -> str:
        if limit is None:
            return statement
        if self._warehouse.dialect == "duckdb":
            return f"{statement} limit {int(limit)}"
        return f"{statement} offset 0 rows fetch next {int(limit)} rows only"


# ------------------------------------------------------------------------------------------------------------ parts


class _Table:
    """A journal table: its quoted relation, that relation's parts, and how wide its text columns are."""

    def __init__(self, name: str, definition: TableDefinition) -> None:
        self.relation = definition.relation
        self.columns = tuple((column, kind) for column, kind in definition.columns)
        names = parts_of(self.relation)
        if not 2 <= len(names) <= 3:
            raise UsageError(
                f"Journal table {name}: {self.relation!r} is not a name with a schema.",
                "Run `dbt build` again.",
            )
        self.parts: tuple[str | None, str, str] = (
            names[0] if len(names) == 3 else None,
            names[-2],
            names[-1],
        )
        self.widths = {
            column: int(width[1])
            for column, kind in self.columns
            if (width := re.fullmatch(r"\s*n?varchar\s*\(\s*(\d+)\s*\)\s*", kind, re.IGNORECASE))
        }


@dataclass(frozen=True)
class _Lease:
    """Since when it holds, by two clocks of this machine: one stands while the machine sleeps, one can be set."""

    run_id: str
    duration: dt.timedelta
    renewed_at: dt.datetime
    tick: float = field(default_factory=time.monotonic)

    def is_half_over(self, now: dt.datetime) -> bool:
        elapsed = max((now - self.renewed_at).total_seconds(), time.monotonic() - self.tick)
        return elapsed >= self.duration.total_seconds() / 2


def _lock_lost(run_id: str) -> LockLost:
    return LockLost(
        f"The lock of run {run_id} was lost: its lease ended, and another run may have begun. Nothing more was written."
    )


def _address(url: str) -> str:
    return url.strip().rstrip("/").lower()


def _second(instant: object) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S}" if isinstance(instant, dt.datetime) else str(instant)


def _is_live(host: object, pid: object, expires_at: object, now: dt.datetime) -> bool:
    if not isinstance(expires_at, dt.datetime) or expires_at <= now:
        return False
    return host != this_host() or not isinstance(pid, int) or process_exists(pid)


def process_exists(pid: int) -> bool:
    """Whether a process of this number runs on this machine."""
    try:
        return bool(psutil.pid_exists(pid))
    except OverflowError:  # larger than any number of a process here
        return True


_QUEUE_FIELDS = (
    "reason",
    "message",
    "missing",
    "first_failed_at",
    "last_failed_at",
    "attempts",
    "state",
    "resolution",
    "run_id",
)
_QUEUE_COLUMNS = ", ".join(("crm_table", "record_key", *_QUEUE_FIELDS))
_XREF_COLUMNS = "record_key, crm_id, first_pushed_at, last_pushed_at, shared_with, run_id, not_shared_with"


def _queued(result: OrderResult, entry: QueueEntry | None, run_id: str, now: dt.datetime) -> QueueEntry | None:
    """The queue entry that `result` leads to; None leaves the queue as it is."""
    if result.reason == "plan_stale":
        return None  # refused for the plan's sake: what the queue says of the order is as true as before
    if result.outcome in ("blocked", "failed"):
        if entry is not None and entry.state != "resolved" and not result.reached:
            return None
        again = entry is not None and entry.state != "resolved"
        return QueueEntry(
            table=result.table,
            key=entry.key if entry else result.key,
            reason=result.reason,
            message=result.message,
            missing=[dict(item) for item in result.missing],
            first_failed_at=(entry.first_failed_at if entry and again else None) or now,
            last_failed_at=now,
            attempts=(entry.attempts if entry and again else 0) + 1,
            state=entry.state if entry and again else "open",
            resolution=None,
            run_id=run_id,
        )
    if entry is None or entry.state != "open" or result.reason in ("held", "ignored"):
        return None
    if result.outcome == "skipped":
        # Closed in CRM: nothing is left to do for it. Held and ignored orders are not open.
        return replace(entry, state="resolved", resolution="left_scope", run_id=run_id)
    return replace(entry, state="resolved", resolution="synced", run_id=run_id)


def _put_aside(
    entry: QueueEntry | None, table: str, key: str, state: Literal["held", "ignored"], why: str
) -> QueueEntry:
    if entry is not None and entry.state != "resolved" and entry.attempts:
        return replace(entry, state=state, resolution=None)
    key = entry.key if entry else key
    return QueueEntry(table, key, state, f"{state.capitalize()} {why}.", [], None, None, 0, state, None, None)


def _released(entry: QueueEntry | None, key: str) -> QueueEntry:
    if entry is None or entry.state == "resolved":
        raise NotFound(f"Order {key} is not in the retry queue.", "`loader retry list` shows what is.")
    if entry.state == "open":
        return entry
    if entry.attempts == 0:
        return replace(entry, state="resolved", resolution="released")
    return replace(entry, state="open", resolution=None)


def _in_states(states: Iterable[QueueState] | None) -> str:
    known: tuple[QueueState, ...] = (*WAITING, "resolved")
    wanted = known if states is None else [state for state in known if state in set(states)]
    return f"state in ({', '.join(map(repr, wanted))})"


def _is_table(table: str) -> str:
    return "crm_table = '{}'".format(table.replace("'", "''").replace("{", "{{").replace("}", "}}"))


def _keys(key: str) -> dict[str, object]:
    """A record's key as it is shown, and as it is compared."""
    return {"record_key": key, "match_key": fold(key)}


def _queue_entry(row: Row) -> QueueEntry:
    table, key, reason, message, missing, *rest = row
    return QueueEntry(table, key, reason, message, _list(missing), *rest)  # type: ignore[arg-type]


def _xref_entry(result: OrderResult, before: XrefEntry | None, run_id: str, now: dt.datetime) -> XrefEntry:
    assert result.crm_id is not None
    if before is None or before.crm_id.lower() != result.crm_id.lower():
        # Known for the first time, or made again after someone deleted it: then an earlier share went with it.
        pushed_at = now if result.pushed else None
        first = before.first_pushed_at if before else None
        key = before.key if before else result.key
        now_shared, refused = result.shared_with, result.not_shared_with
        return XrefEntry(key, result.crm_id, first or pushed_at, pushed_at, now_shared, run_id, refused)
    if result.pushed:
        before = replace(before, first_pushed_at=before.first_pushed_at or now, last_pushed_at=now, run_id=run_id)
    if result.shared_with and result.shared_with != before.shared_with:
        before = replace(before, shared_with=result.shared_with, not_shared_with=None, run_id=run_id)
    elif result.not_shared_with and result.not_shared_with != before.not_shared_with:
        before = replace(before, not_shared_with=result.not_shared_with, run_id=run_id)
    return before


def _without_key(entry: XrefEntry) -> dict[str, object]:
    return {name: value for name, value in vars(entry).items() if name != "key"}


def _run_record(row: Mapping[str, Any], numbers: Sequence[str]) -> RunRecord:
    counts = RunCounts(**{name: row[name] or 0 for name in numbers})
    return RunRecord(counts=counts, **{name: value for name, value in row.items() if name not in numbers})


def _fitting(value: object, width: int | None) -> object:
    """Text that a column can hold: SQL Server refuses a longer one, and DuckDB half a character."""
    if isinstance(value, str) and not value.isascii():
        value = value.encode("utf-8", "replace").decode()
    if width is not None and isinstance(value, str) and len(value) > width:
        return value[: width - 3] + "..."
    return value


def _json(items: Iterable[Mapping[str, object]] | str) -> str:
    if isinstance(items, str):
        return items
    return simplejson.dumps([dict(item) for item in items], use_decimal=True, default=_text, ensure_ascii=False)


def _text(value: object) -> str:
    if isinstance(value, dt.datetime):
        return value.isoformat(timespec="seconds") + "Z"
    return value.isoformat() if isinstance(value, dt.date) else str(value)


def _list(text: object) -> list[dict[str, Any]]:
    return simplejson.loads(str(text), use_decimal=True) if text else []
