"""Events: how each record of a run ended, with the values before and after."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from loader.keys import fold
from loader.warehouse.connection import quoted
from loader.warehouse.journal import version_1
from loader.warehouse.journal.records import WHOLE, Event, RecordResult, as_json, from_json
from loader.warehouse.journal.tables import AT_A_TIME, Tables, keys_of

EVENTS_AT_A_TIME = 1_000
"""How many events are read at a time with their changes. A new record with many lines has thousands of changes."""
SINCE = 2
"""The version of the journal since which events are as they are."""


class Events:
    """The rows of sync_event."""

    def __init__(self, tables: Tables, line_tables: Mapping[str, str], at_a_time: int = AT_A_TIME) -> None:
        self._tables = tables
        self._at_a_time = at_a_time
        self._line_tables = line_tables

    def add(self, results: Sequence[RecordResult], run_id: str, now: dt.datetime) -> None:
        """Records them. Their numbers continue those that the run has recorded before."""
        if not results:
            return
        last = self._tables.query(
            "sync_event", "select coalesce(max(event_no), 0) from {sync_event} where run_id = ?", [run_id]
        )
        first = int(str(last[0][0])) + 1
        self._tables.insert(
            "sync_event",
            *(
                {
                    "run_id": run_id,
                    "event_no": number,
                    "happened_at": now,
                    "crm_table": result.table,
                    **keys_of(result.key),
                    "crm_id": result.crm_id,
                    "action": result.action,
                    "outcome": result.outcome,
                    "reason": result.reason,
                    "message": result.message,
                    "changes": as_json(result.changes),
                    "warnings": as_json(result.warnings),
                    "request_id": result.request_id,
                }
                for number, result in enumerate(results, first)
            ),
        )

    def found(
        self, run_id: str | None = None, key: str | None = None, limit: int | None = None, table: str | None = None
    ) -> list[Event]:
        """Events of a run in their order, or of a record (or all), newest first."""
        conditions: list[str] = []
        params: list[object] = []
        if run_id is not None:
            conditions.append("run_id = ?")
            params.append(run_id)
        if key is not None:
            conditions.append("match_key = ?")
            params.append(fold(key))
        if table is not None:
            conditions.append("crm_table = ?")
            params.append(table)
        return list(self._select(conditions, params, "event_no" if run_id and key is None else self._newest(), limit))

    def of_run(self, run_id: str, tables: Collection[str] = ()) -> Iterator[Event]:
        """The events of a run in their order, or those of these tables, without keeping them all in memory."""
        last = 0
        of_tables = [f"crm_table in ({', '.join('?' * len(tables))})"] if tables else []
        conditions = ["run_id = ?", *of_tables, "event_no > ?"]
        while some := list(self._select(conditions, [run_id, *tables, last], "event_no", EVENTS_AT_A_TIME)):
            yield from some
            last = some[-1].event_no

    def _newest(self) -> str:
        """Runs are numbered in the order in which they began, because clocks may have been set back since."""
        numbered = self._tables.has("sync_run", "run_no")
        run_no = "(select coalesce(max(run_no), 0) from {sync_run} as run where run.run_id = event.run_id) desc, "
        return f"{run_no if numbered else ''}happened_at desc, event_no desc"

    def _select(
        self, conditions: Sequence[str], params: Sequence[object], order: str, limit: int | None
    ) -> Iterator[Event]:
        statement = (
            "select run_id, event_no, happened_at, crm_table, record_key, crm_id, action, outcome, reason, message,"
            " changes, warnings, request_id from {sync_event} as event"
        )
        where = f" where {' and '.join(conditions)}" if conditions else ""
        rows = self._tables.query(
            "sync_event", self._tables.limited(f"{statement}{where} order by {order}", limit), params
        )
        for row in rows:
            about = self._today(str(row[3]), str(row[4]), row[10], row[11])
            yield Event(*row[:10], *about, row[12])  # type: ignore[arg-type, call-arg]

    def _today(
        self, table: str, key: str, changes: object, warnings: object
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        lines = self._line_tables.get(table)
        return (
            [version_1.change(each, key, lines) for each in from_json(changes)],
            [version_1.warning(each, table, key, lines) for each in from_json(warnings)],
        )

    def bring_up_to(self, version: int) -> None:
        """Rewrites the events of runs that version 1 wrote, so many at a time. Rewritten events stay as they are.

        A run that is still running is handled the next time.
        """
        old = self._tables.query(
            "sync_run", "select count(*) from {sync_run} where coalesce(schema_version, 1) < ?", [SINCE]
        )
        if not old or not old[0][0]:
            return
        runs = self._tables.query(
            "sync_event",
            "select run_id, max(event_no) from {sync_event} where run_id not in"
            " (select run_id from {sync_run} where schema_version >= ?) group by run_id",
            [SINCE],
        )
        for run_id, last in runs:
            for start in range(0, int(str(last)) + 1, self._at_a_time):
                self._tables.atomically("retry_queue", partial(self._rewrite, str(run_id), start))
        self._tables.atomically(
            "sync_run",
            lambda: self._tables.execute(
                "update {sync_run} set schema_version = ?"
                " where coalesce(schema_version, 1) < ? and outcome <> 'running'",
                [version, SINCE],
            ),
        )

    def _rewrite(self, run_id: str, start: int) -> None:
        names = [name for name, _ in self._tables.known["sync_event"].columns]
        these = "where run_id = ? and event_no >= ? and event_no < ?"
        params = [run_id, start, start + self._at_a_time]
        found = self._tables.query(
            "sync_event", f"select {', '.join(map(quoted, names))} from {{sync_event}} {these}", params
        )
        rows = [dict(zip(names, row, strict=True)) for row in found]
        for row in rows:
            changes, warnings = self._today(
                str(row["crm_table"]), str(row["record_key"]), row["changes"], row["warnings"]
            )
            row["changes"] = as_json(changes) if row["changes"] else row["changes"]
            row["warnings"] = as_json(warnings) if row["warnings"] else row["warnings"]
        if [tuple(row.values()) for row in rows] != [tuple(row) for row in found]:
            self._tables.execute(f"delete from {{sync_event}} {these}", params)
            self._tables.insert("sync_event", *rows)

    def taken_over(self, table: str, keys: Collection[str], run_id: str) -> set[str]:
        """Those of these folded keys that later runs have looked at, or will look at."""
        later = self._tables.query(
            "sync_run",
            "select run_id, command from {sync_run}"
            " where run_no > (select max(run_no) from {sync_run} where run_id = ?)",
            [run_id],
        )
        if any(command == WHOLE for _, command in later):
            return set(keys)
        found: set[str] = set()
        for run, _ in later:
            rows = self._tables.query(
                "sync_event", "select record_key from {sync_event} where run_id = ? and crm_table = ?", [run, table]
            )
            found |= {fold(str(key)) for (key,) in rows}
        return found & set(keys)
