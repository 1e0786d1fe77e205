"""Types for the journal's content: runs, results, events, queue entries, known CRM ids."""

from __future__ import annotations

import datetime as dt
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import simplejson

from loader.keys import fold
from loader.warehouse.journal.here import Clock, this_host, utc_now

WHOLE = "push"
"""The only command that looks at every record."""
FROM_NOW_ON = dt.timedelta(minutes=5)
"""How much two machines' clocks may differ before a time counts as lying in the future."""

QueueState = Literal["open", "held", "ignored", "resolved"]
WAITING: tuple[QueueState, ...] = ("open", "held", "ignored")
Action = Literal["create", "update", "unchanged", "skip", "block"]
Outcome = Literal["created", "updated", "unchanged", "skipped", "blocked", "failed"]
RunOutcome = Literal["running", "ok", "blocked", "stopped", "error", "interrupted", "died"]
T = TypeVar("T")


@dataclass(frozen=True)
class RunStart:
    """What is known of a run when it begins."""

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
    """How a run's records ended, and how many requests it took. The first six counts add up to `staged`."""

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
        """Whether the run looked at every record."""
        return self.command == WHOLE

    @property
    def is_scheduled(self) -> bool:
        """Whether the run pushed everything in a plan of all records, be it its own plan or a plan file."""
        return self.command in (WHOLE, "push FILE")

    def ends_after(self, now: dt.datetime) -> bool:
        """Whether its end lies in the future, which means that one of the clocks is wrong."""
        return self.finished_at is not None and self.finished_at > now + FROM_NOW_ON


@dataclass(frozen=True)
class Equal:
    """With what a record was found equal to CRM's: the digest of its staged rows, and the ids of its lines in CRM."""

    digest: str
    line_ids: str = ""

    @classmethod
    def of(cls, digest: str, line_ids: Iterable[str]) -> Equal:
        return cls(digest, ",".join(sorted(map(short_id, line_ids))))


def short_id(id_: str) -> str:
    """An id as it is written where there are many."""
    return id_.replace("-", "").lower()


@dataclass(frozen=True)
class RecordResult:
    """How one record of a run ended. `pushed`: something was written to CRM. The rest is as in the columns."""

    key: str
    table: str
    crm_id: str | None
    action: Action
    outcome: Outcome
    reason: str | None = None
    message: str | None = None
    changes: Sequence[Mapping[str, object]] | str = ()
    """The changes, or their JSON text."""
    warnings: Sequence[Mapping[str, object]] = ()
    missing: Sequence[Mapping[str, object]] = ()
    request_id: str | None = None
    shared_with: str | None = None
    not_shared_with: str | None = None
    pushed: bool = False
    is_closed: bool = False
    """CRM holds it in a state in which it is not changed any more."""
    reached: bool = True
    """False if the run ended before it looked at the record."""
    equal: Equal | None = None
    """If the run found the record as it should be in CRM, or skipped it for what it found there: with what."""

    @property
    def is_noted(self) -> bool:
        """Whether there is something to say of it, though it is not in trouble."""
        is_well = self.outcome in ("created", "updated", "unchanged")
        return self.outcome == "skipped" or (is_well and bool(self.warnings))


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
    """A row of retry_queue: a record that could not be pushed, or that somebody holds back."""

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
class KnownRecord:
    """A row of crm_xref: the CRM record that belongs to a staged record's key."""

    key: str
    crm_id: str
    first_pushed_at: dt.datetime | None
    last_pushed_at: dt.datetime | None
    shared_with: str | None
    run_id: str | None
    not_shared_with: str | None = None
    is_closed: bool = False
    equal: Equal | None = None


@dataclass(frozen=True)
class Purged:
    runs: int
    events: int
    queue: int


class ByKey(Mapping[str, T], Generic[T]):
    """A mapping whose keys are compared as in GP and CRM: case and trailing blanks do not matter."""

    def __init__(self, items: Iterable[tuple[str, T]]) -> None:
        self._items = {fold(key): (key, value) for key, value in items}

    def __getitem__(self, key: str) -> T:
        return self._items[fold(key)][1]

    def __iter__(self) -> Iterator[str]:
        return (key for key, _ in self._items.values())

    def __len__(self) -> int:
        return len(self._items)


def as_json(items: Iterable[Mapping[str, object]] | str) -> str:
    if isinstance(items, str):
        return items
    return simplejson.dumps([dict(item) for item in items], use_decimal=True, default=_text, ensure_ascii=False)


def _text(value: object) -> str:
    if isinstance(value, dt.datetime):
        return value.isoformat(timespec="seconds") + "Z"
    return value.isoformat() if isinstance(value, dt.date) else str(value)


def from_json(text: object) -> list[dict[str, Any]]:
    return simplejson.loads(str(text), use_decimal=True) if text else []
