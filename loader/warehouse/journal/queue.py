"""The retry queue: the records that could not be pushed, and those that somebody holds back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

from loader.errors import NotFound
from loader.keys import fold
from loader.warehouse.connection import Row
from loader.warehouse.journal.records import (
    WAITING,
    ByKey,
    QueueEntry,
    QueueState,
    RecordResult,
    as_json,
    from_json,
)
from loader.warehouse.journal.tables import AT_A_TIME, Tables, keys_of, of_table

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


class Queue:
    """The rows of retry_queue."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def entries(self, states: Iterable[QueueState] | None = WAITING, limit: int | None = None) -> list[QueueEntry]:
        """The queue's entries, the oldest first: by default the unresolved, or those in `states` (None: all)."""
        rows = self._tables.query(
            "retry_queue",
            self._tables.limited(
                f"select {_QUEUE_COLUMNS} from {{retry_queue}} where {_in_states(states)}"
                " order by coalesce(first_failed_at, cast('9999-12-31' as date)), crm_table, record_key",
                limit,
            ),
        )
        return [_queue_entry(row) for row in rows]

    def of(self, key: str) -> list[QueueEntry]:
        """The unresolved entries with this key, in any table."""
        rows = self._tables.query(
            "retry_queue",
            f"select {_QUEUE_COLUMNS} from {{retry_queue}} where match_key = ? and state <> 'resolved'",
            [fold(key)],
        )
        return [_queue_entry(row) for row in rows]

    def counts(self) -> dict[str, dict[QueueState, int]]:
        """How many records of each CRM table are waiting, by state.

        Counted in SQL, because the queue may be very long.
        """
        counts: dict[str, dict[QueueState, int]] = {}
        for table, state, number in self._tables.query(
            "retry_queue", "select crm_table, state, count(*) from {retry_queue} group by crm_table, state"
        ):
            of_table = counts.setdefault(str(table), dict.fromkeys(WAITING, 0))
            if state in of_table:
                of_table[state] = int(str(number))  # type: ignore[index]
        return counts

    def news(self, run_id: str, limit: int) -> tuple[list[QueueEntry], dict[str, int], int]:
        """What a run changed in the queue: the first of the records that wait since then, how many they are by table,
        and how many records it resolved."""
        new = "run_id = ? and state = 'open' and attempts = 1"
        entries = self._tables.query(
            "retry_queue",
            self._tables.limited(
                f"select {_QUEUE_COLUMNS} from {{retry_queue}} where {new} order by crm_table, record_key", limit
            ),
            [run_id],
        )
        counts = self._tables.query(
            "retry_queue", f"select crm_table, count(*) from {{retry_queue}} where {new} group by crm_table", [run_id]
        )
        resolved = self._tables.query(
            "retry_queue", "select count(*) from {retry_queue} where run_id = ? and state = 'resolved'", [run_id]
        )
        by_table = {str(table): int(str(number)) for table, number in counts}
        return [_queue_entry(row) for row in entries], by_table, int(str(resolved[0][0])) if resolved else 0

    def open_keys(self, table: str) -> list[str]:
        """The keys of a table's open entries."""
        rows = self._tables.query(
            "retry_queue", "select record_key from {retry_queue} where crm_table = ? and state = 'open'", [table]
        )
        return sorted(str(key) for (key,) in rows)

    def waiting_keys(self, table: str) -> str | None:
        """A select of the folded keys of a table's unresolved entries; None where there is no queue yet."""
        if not self._tables.exists("retry_queue"):
            return None
        where = f"{_in_states(WAITING)} and {of_table(table)}"
        return self._tables.sql(f"select match_key from {{retry_queue}} where {where}")

    def states_of(self, table: str, states: Iterable[QueueState], among: Collection[str]) -> dict[str, QueueState]:
        """Folded key → state, for the entries whose key is `among` these."""
        where = f"{_in_states(states)} and {of_table(table)}"
        return {
            key: state  # type: ignore[misc]
            for rows in self._tables.among("retry_queue", "record_key, state", where, among)
            for key, state in ((fold(str(key)), state) for key, state in rows)
            if key in among
        }

    def set_states(
        self, records: Sequence[tuple[str, str]], state: Literal["held", "ignored", "open"], why: str = "by hand"
    ) -> list[QueueEntry]:
        """Holds or ignores records, by table and key, or releases them (`open`), in one transaction. Returns the new
        entries.

        A record that never failed can also be held or ignored; releasing it resolves the entry. Releasing a record that
        is not in the queue raises NotFound, and changes none. The caller ensures that the records exist.
        """
        keys: dict[str, dict[str, str]] = {}
        for table, key in records:
            keys.setdefault(table, {})[fold(key)] = key

        def change() -> dict[tuple[str, str], QueueEntry]:
            changed: dict[tuple[str, str], QueueEntry] = {}
            for table, its_keys in keys.items():
                found = {fold(entry.key): entry for entry in self.among(table, its_keys.values())}
                new = {
                    folded: _released(found.get(folded), key)
                    if state == "open"
                    else _put_aside(found.get(folded), table, key, state, why)
                    for folded, key in its_keys.items()
                }
                other = {folded: entry for folded, entry in new.items() if entry != found.get(folded)}
                self.put(list(other.values()), [found[folded].key for folded in other if folded in found])
                changed.update({(table, folded): entry for folded, entry in new.items()})
            return changed

        changed = self._tables.atomically("retry_queue", change)
        return [changed[table, fold(key)] for table, key in records]

    def held_or_ignored(self, table: str) -> Mapping[str, QueueState]:
        """The records that somebody holds back or ignores."""
        rows = self._tables.query(
            "retry_queue",
            "select record_key, state from {retry_queue} where crm_table = ? and state in ('held', 'ignored')",
            [table],
        )
        return ByKey((str(key), state) for key, state in rows)  # type: ignore[misc]

    def resolve_left_scope(self, table: str, present_keys: Iterable[str]) -> list[str]:
        """Resolves open and held entries of records that are no longer staged. Returns their keys."""
        present = {fold(key) for key in present_keys}
        where = f"{_in_states(['open', 'held'])} and {of_table(table)}"
        blocks = self._tables.blocks("retry_queue", "record_key", where)
        left = [str(key) for rows in blocks for (key,) in rows if fold(str(key)) not in present]

        def resolve(some: list[str]) -> None:
            for condition, params in self._tables.warehouse.matching("match_key", map(fold, some)):
                self._tables.execute(
                    "update {retry_queue} set state = 'resolved', resolution = 'left_scope'"
                    f" where crm_table = ? and state in ('open', 'held') and {condition}",
                    [table, *params],
                )

        for start in range(0, len(left), AT_A_TIME):
            self._tables.atomically("retry_queue", partial(resolve, left[start : start + AT_A_TIME]))
        return sorted(left)

    def among(self, table: str, keys: Iterable[str]) -> Iterator[QueueEntry]:
        """The entries with these keys, in any state."""
        for condition, params in self._tables.warehouse.matching("match_key", sorted(map(fold, keys))):
            yield from map(
                _queue_entry,
                self._tables.query(
                    "retry_queue",
                    f"select {_QUEUE_COLUMNS} from {{retry_queue}} where crm_table = ? and {condition}",
                    [table, *params],
                ),
            )

    def put(self, entries: Sequence[QueueEntry], replaced: Iterable[str]) -> None:
        """Stores these entries of one table in place of those with the keys in `replaced`."""
        if not entries:
            return
        for condition, params in self._tables.warehouse.matching("match_key", map(fold, replaced)):
            self._tables.execute(
                f"delete from {{retry_queue}} where crm_table = ? and {condition}", [entries[0].table, *params]
            )
        self._tables.insert(
            "retry_queue",
            *(
                {
                    "crm_table": entry.table,
                    **keys_of(entry.key),
                    **{name: getattr(entry, name) for name in _QUEUE_FIELDS},
                    "missing": as_json(entry.missing),
                }
                for entry in entries
            ),
        )


def queued(result: RecordResult, entry: QueueEntry | None, run_id: str, now: dt.datetime) -> QueueEntry | None:
    """The queue entry for `result`, or None if the queue does not change."""
    if result.reason == "plan_stale":
        return None  # only the plan was stale: the queue's entry is still true
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
        # A record that is closed in CRM needs nothing more. Held and ignored records are not open.
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
        raise NotFound(f"{key} is not in the retry queue.", "`loader retry list` shows what is.")
    if entry.state == "open":
        return entry
    if entry.attempts == 0:
        return replace(entry, state="resolved", resolution="released")
    return replace(entry, state="open", resolution=None)


def _in_states(states: Iterable[QueueState] | None) -> str:
    known: tuple[QueueState, ...] = (*WAITING, "resolved")
    wanted = known if states is None else [state for state in known if state in set(states)]
    return f"state in ({', '.join(map(repr, wanted))})"


def _queue_entry(row: Row) -> QueueEntry:
    table, key, reason, message, missing, *rest = row
    return QueueEntry(table, key, reason, message, from_json(missing), *rest)  # type: ignore[arg-type]
