"""Events: how each record of a run ended, with the values before and after."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence

from loader.keys import fold
from loader.warehouse.journal.records import WHOLE, Event, OrderResult, as_json, from_json
from loader.warehouse.journal.tables import Tables, keys_of


class Events:
    """The rows of sync_event."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def add(self, results: Sequence[OrderResult], run_id: str, now: dt.datetime) -> None:
        """Enters them, numbered after what the run has entered before."""
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

    def found(self, run_id: str | None = None, key: str | None = None, limit: int | None = None) -> list[Event]:
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
        rows = self._tables.query(
            "sync_event",
            self._tables.limited(
                "select run_id, event_no, happened_at, crm_table, record_key, crm_id, action, outcome, reason,"
                " message, changes, warnings, request_id from {sync_event}"
                + (f" where {' and '.join(conditions)}" if conditions else "")
                + (" order by happened_at desc, event_no desc" if newest_first else " order by event_no"),
                limit,
            ),
            params,
        )
        return [
            Event(*row[:10], from_json(row[10]), from_json(row[11]), row[12])  # type: ignore[arg-type, call-arg]
            for row in rows
        ]

    def taken_over(self, table: str, keys: Collection[str], run_id: str) -> set[str]:
        """Those of these keys, given as they are compared, that later runs have looked at, or are to look at."""
        later = self._tables.query(
            "sync_run",
            "select run_id, command from {sync_run}"
            " where run_no > (select coalesce(max(run_no), 0) from {sync_run} where run_id = ?)",
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
