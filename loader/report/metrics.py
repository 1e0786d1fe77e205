"""The state of the integration in Prometheus' text format (docs/operating.md lists the names)."""

from __future__ import annotations

import datetime as dt
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from loader.context import Context
from loader.errors import UsageError
from loader.push.audits import latest_runs, money_waiting
from loader.push.tally import OUTCOMES
from loader.warehouse.journal import RunRecord

_Sample: TypeAlias = "tuple[Mapping[str, str], object]"

METRICS: Mapping[str, str] = {
    "last_push_end_timestamp_seconds": "When the last push of all records ended.",
    "last_push_success": "1 if it looked at every record, 0 if it ended early.",
    "last_push_duration_seconds": "How long it took.",
    "last_push_staged_records": "How many records were staged for it.",
    "last_push_records": "How many of them ended with this outcome.",
    "last_push_requests": "How many HTTP requests it sent to CRM.",
    "queue_records": "Records in the retry queue, by CRM table and state.",
    "waiting_amount": "Money of the open records in the retry queue, by CRM table.",
    "oldest_waiting_timestamp_seconds": "Since when the open record has waited that has waited longest.",
}
"""Name, after `gp_to_crm_`, and meaning."""


def exposition(context: Context) -> str:
    """The whole text."""
    found: dict[str, list[_Sample]] = {name: [] for name in METRICS}
    last = next((run for run in latest_runs(context, 1000) if run.is_scheduled and run.finished_at), None)
    for name, labels, value in (*_of_run(last), *_of_queue(context)):
        found[name].append((labels, value))
    return "".join(line + "\n" for name in METRICS if found[name] for line in _lines(name, found[name]))


def _of_run(run: RunRecord | None) -> Iterator[tuple[str, Mapping[str, str], object]]:
    if run is None or run.finished_at is None:
        return
    yield "last_push_end_timestamp_seconds", {}, _timestamp(run.finished_at)
    yield "last_push_success", {}, int(run.outcome in ("ok", "blocked"))
    yield "last_push_duration_seconds", {}, (run.finished_at - run.started_at).total_seconds()
    yield "last_push_staged_records", {}, run.counts.staged
    for outcome in OUTCOMES:
        yield "last_push_records", {"outcome": outcome}, getattr(run.counts, outcome)
    yield "last_push_requests", {"kind": "read"}, run.counts.requests_read
    yield "last_push_requests", {"kind": "write"}, run.counts.requests_write


def _of_queue(context: Context) -> Iterator[tuple[str, Mapping[str, str], object]]:
    tables = list(dict.fromkeys(model.table for model in context.contract.models))
    for table in tables:
        for state, number in context.journal.queue_counts([table]).items():
            yield "queue_records", {"table": table, "state": state}, number
    amounts = money_waiting(context)
    for table in dict.fromkeys(model.table for model in context.contract.models if model.meta.amount):
        yield "waiting_amount", {"table": table}, amounts.get(table, 0)
    oldest = context.journal.queue(("open",), 1)
    if oldest and oldest[0].first_failed_at:
        yield "oldest_waiting_timestamp_seconds", {}, _timestamp(oldest[0].first_failed_at)


def _timestamp(instant: dt.datetime) -> float:
    return instant.replace(tzinfo=dt.timezone.utc).timestamp()


def _lines(name: str, samples: Iterable[_Sample]) -> Iterator[str]:
    yield f"# HELP gp_to_crm_{name} {METRICS[name]}"
    yield f"# TYPE gp_to_crm_{name} gauge"
    for labels, value in samples:
        told = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        yield f"gp_to_crm_{name}{f'{{{told}}}' if told else ''} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def write_metrics(path: Path, text: str) -> None:
    """Puts the whole file in its place at once, readable for all: a collector never sees half of it."""
    try:
        number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with open(number, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(name)
            raise
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", "Name another file with --metrics.") from None
