"""Runs: when each began, how it ended, what it did, and which CRM it wrote to."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any

from loader.errors import GuardTripped, NotFound
from loader.warehouse.connection import quoted
from loader.warehouse.journal.lock import Lock
from loader.warehouse.journal.records import RunCounts, RunOutcome, RunRecord, RunStart
from loader.warehouse.journal.schema import SCHEMA_VERSION
from loader.warehouse.journal.tables import Tables


class Runs:
    """The rows of sync_run. A run that is recorded as running, but whose process is gone, is shown as died."""

    def __init__(self, tables: Tables, lock: Lock) -> None:
        self._tables = tables
        self._lock = lock

    def start(self, run: RunStart) -> None:
        """Records the run as running."""

        def enter() -> None:
            ((last,),) = self._tables.query("sync_run", "select coalesce(max(run_no), 0) from {sync_run}") or [(0,)]
            self._tables.insert(
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

        self._tables.atomically("sync_run", enter)

    def refuse_other_crm(self, organization_id: str, crm_url: str) -> None:
        """Raises GuardTripped if the journal, with its ids, shares and queue, belongs to another CRM organisation.

        Older journals did not record the organisation; for these, the address of the last run is compared.
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
        """The organisation's id, if it was recorded, and its address."""
        last = " order by started_at desc, run_id"
        for condition in ("crm_organization_id is not null", "outcome in ('ok', 'blocked', 'interrupted')"):
            if "crm_organization_id" in condition and not self._tables.has("sync_run", "crm_organization_id"):
                continue
            column = "crm_organization_id" if "crm_organization_id" in condition else "null"
            rows = self._tables.query(
                "sync_run",
                self._tables.limited(f"select {column}, crm_url from {{sync_run}} where {condition}{last}", 1),
            )
            for id_, url in rows:
                return str(id_) if id_ else None, str(url or "")
        return None

    def enter_crm(self, run_id: str, organization_id: str) -> None:
        """Records the organisation that a run writes to. From then on, the journal belongs to it."""
        self._tables.atomically(
            "sync_run",
            lambda: self._tables.execute(
                "update {sync_run} set crm_organization_id = ? where run_id = ?", [organization_id, run_id]
            ),
        )

    def finish(self, run_id: str, counts: RunCounts, outcome: RunOutcome, message: str | None = None) -> None:
        """Records how the run ended."""
        self._tables.atomically(
            "sync_run",
            lambda: self._set(
                run_id, {"finished_at": self._tables.now(), "outcome": outcome, "message": message, **asdict(counts)}
            ),
        )

    def _set(self, run_id: str, values: Mapping[str, object]) -> None:
        assignments = ", ".join(f"{name} = ?" for name in values)
        self._tables.execute(f"update {{sync_run}} set {assignments} where run_id = ?", [*values.values(), run_id])

    def latest(self, limit: int = 20) -> list[RunRecord]:
        """The latest runs, newest first."""
        return self._found("", [], limit)

    def one(self, run_id: str) -> RunRecord:
        """The run with this id, or with the only id that begins like this. Raises NotFound."""
        wanted = run_id.strip().lower()
        found = self._found("where lower(left(run_id, ?)) = ?", [len(wanted), wanted], 2) if wanted else []
        if not found:
            raise NotFound(f"There is no run {run_id!r}.", "`loader status` lists the runs.")
        if len(found) > 1:
            raise NotFound(f"More than one run begins with {run_id!r}.", "Give more characters of its id.")
        return found[0]

    def _found(self, where: str, params: Sequence[object], limit: int) -> list[RunRecord]:
        names = [each.name for each in fields(RunRecord) if each.name != "counts"]
        numbers = [each.name for each in fields(RunCounts)]
        selected = [quoted(name) if self._tables.has("sync_run", name) else "null" for name in names + numbers]
        number = "coalesce(run_no, 0) desc, " if self._tables.has("sync_run", "run_no") else ""
        rows = self._tables.query(
            "sync_run",
            self._tables.limited(
                f"select {', '.join(selected)} from {{sync_run}} {where} order by {number}started_at desc, run_id",
                limit,
            ),
            params,
        )
        return self.settled([run_record(dict(zip(names + numbers, row, strict=True))) for row in rows])

    def settled(self, runs: Sequence[RunRecord]) -> list[RunRecord]:
        """The same runs, where one that has no end although its process is gone has died."""
        endless = {run.run_id for run in runs if run.finished_at is None and run.outcome in ("running", "died")}
        if endless:
            endless -= self._lock.live_runs()
        return [self._died(run) if run.run_id in endless else run for run in runs]

    def _died(self, run: RunRecord) -> RunRecord:
        """A dead run that is not yet recorded as died. Its last event is the best guess at when it ended."""
        rows = self._tables.query(
            "sync_event", "select max(happened_at) from {sync_event} where run_id = ?", [run.run_id]
        )
        last = rows[0][0] if rows else None
        ended = last if isinstance(last, dt.datetime) else run.started_at
        return replace(run, outcome="died", finished_at=ended, message="Stopped without reporting a result.")

    def enter_counts(self, run_id: str, counts: RunCounts) -> None:
        """Records what the run has done so far."""
        self._set(run_id, asdict(counts))


def _address(url: str) -> str:
    return url.strip().rstrip("/").lower()


def run_record(row: Mapping[str, Any]) -> RunRecord:
    """A run out of the columns of sync_run, its counts among them."""
    numbers = [each.name for each in fields(RunCounts)]
    counts = RunCounts(**{name: row[name] or 0 for name in numbers})
    return RunRecord(counts=counts, **{name: value for name, value in row.items() if name not in numbers})
