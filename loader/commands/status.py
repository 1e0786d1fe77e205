"""`loader status` and `loader retry list`: what the journal knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, Literal

from loader.commands.probe import ahead
from loader.errors import NotFound
from loader.report.text import queue_lines, run_lines
from loader.report.words import span
from loader.run import Run
from loader.sync.lookups import match_key
from loader.warehouse.journal import WAITING, Event, RunRecord

Told = tuple[Any, Callable[[], Iterator[str]]]
"""Content for --json, and the same as lines."""


def last_runs(run: Run, number: int) -> Told:
    """The latest runs and how many orders wait."""
    runs = run.journal.runs(number)
    states = run.journal.queue_counts()
    now = run.journal.now()

    def text() -> Iterator[str]:
        yield from run_lines(runs)
        for each in runs:
            if each.ends_after(now):
                yield f"Run {each.run_id[:8]} ends in the future, {span(ahead(each, now))} from now: a clock is wrong."
        yield f"Retry queue: {states['open']} open, {states['held']} held, {states['ignored']} ignored."

    return {"runs": [_run_json(each) for each in runs], "queue": states}, text


def one_run(run: Run, run_id: str) -> Told:
    """A run and what it did to each order. Raises NotFound."""
    record = run.journal.run(run_id)
    events = run.journal.events(run_id=record.run_id)

    def text() -> Iterator[str]:
        yield from run_lines([record])
        if record.message:
            yield record.message
        for event in events:
            yield from _event_lines(event)

    return {"run": _run_json(record), "events": [asdict(event) for event in events]}, text


def queue(run: Run, everything: bool, limit: int) -> Told:
    """The retry queue's entries that have waited longest; resolved ones only where asked for."""
    entries = run.journal.queue(None if everything else WAITING, limit)
    counts = run.journal.queue_counts()
    more = 0 if everything else sum(counts.values()) - len(entries)

    def text() -> Iterator[str]:
        yield from queue_lines(entries)
        if more:
            yield f"{more:,} more wait; --limit shows more of them."

    return {"queue": [asdict(entry) for entry in entries], "counts": counts}, text


def set_state(run: Run, orders: Sequence[str], state: Literal["held", "ignored", "open"]) -> Told:
    """Holds, ignores or releases orders. Raises NotFound for one that is neither staged nor in the queue."""
    model = run.contract.models[0]
    known = set(map(match_key, run.keys(model)))
    for order in orders:
        if match_key(order) not in known and not run.journal.queue_of(order):
            raise NotFound(f"Order {order} is neither staged nor in the queue.", "Check the number.")
    run.journal.prepare()
    entries = [run.journal.set_state(model.table, order, state) for order in orders]
    return {"queue": [asdict(entry) for entry in entries]}, lambda: queue_lines(entries)


def _run_json(record: RunRecord) -> dict[str, Any]:
    return asdict(record)


def _event_lines(event: Event) -> Iterator[str]:
    about = f": {event.reason}, {event.message}" if event.reason else ""
    yield f"{event.key} {event.outcome}{about}"
    for change in event.changes:
        if change["action"] != "create":
            yield f"    {change['record']} {change['column']}: {change['before']} → {change['after']}"
    for warning in event.warnings:
        yield f"    warning {warning['code']}: {warning['message']}"
