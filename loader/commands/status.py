"""`loader status`: how the last runs went, and whether all is well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from loader.context import Context
from loader.errors import NotWell
from loader.invocation import Invocation, command, table_option
from loader.push.audits import latest_runs, money_waiting, sum_of
from loader.push.staging import models_of
from loader.report.changes import Telling
from loader.report.metrics import exposition, write_metrics
from loader.report.output import Answer
from loader.report.probe import MaxAge, MaxBlocked, ahead, probe
from loader.report.spool import JsonSpool, Spool
from loader.report.text import run_lines
from loader.report.words import money, span
from loader.warehouse.journal import Event, QueueState, RunRecord


@command("status")
@click.option("--run", "run_id", metavar="ID", help="One run with its events. The beginning of its id is enough.")
@table_option
@click.option("--last", default=10, show_default=True, help="How many runs to list.")
@click.option("--max-age", metavar="TIME", help="Probe: exit with 1 if the last push is older than this (90m, 2h, 1d).")
@click.option(
    "--max-blocked", metavar="N|P%", help="Probe: exit with 1 if more records than this are waiting (20, 5%)."
)
@click.option(
    "--metrics",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="Write figures for Prometheus to this file as well; - is stdout, and nothing else.",
)
def status(
    invocation: Invocation,
    run_id: str | None,
    tables: tuple[str, ...],
    last: int,
    max_age: str | None,
    max_blocked: str | None,
    metrics: Path | None,
) -> None:
    """Show how the last runs went and what waits in the retry queue.

    With --table, what waits is counted, and what a run did is listed, for this table only.

    With --max-age or --max-blocked, print one line that says whether all is well, for monitors. If the last push ended
    in an error, it is not.

    With --metrics, write the same figures in Prometheus' text format, for node_exporter's textfile collector.

    \b
    Example:
        loader status --run 3f2a
        loader status --max-age 2h --max-blocked 5%
    """
    if metrics is not None:
        if run_id or tables:
            raise click.UsageError("--metrics is about all runs and tables: leave out --run and --table.")
        if str(metrics) == "-" and invocation.output.json:
            raise click.UsageError("--json takes stdout: name a file with --metrics.")
        with invocation.context() as context:
            figures = exposition(context)
        if str(metrics) == "-":
            invocation.output.document(figures)
            return
        write_metrics(metrics, figures)
    if max_age is not None or max_blocked is not None:
        if run_id:
            raise click.UsageError("--run shows one run: leave out --max-age and --max-blocked.")
        if tables:
            raise click.UsageError("--max-age and --max-blocked judge all tables: leave out --table.")
        _probed(invocation, max_age, max_blocked)
        return
    output = invocation.output
    if run_id:
        spool = JsonSpool() if output.json else Spool()
        with invocation.context() as context:
            content, text = one_run(context, run_id, spool, tables, output.verbose)
        output.data(content, text, entries=("events", spool))
        return
    with invocation.context() as context:
        content, text = last_runs(context, last, tables)
    output.data(content, text)


def _probed(invocation: Invocation, max_age: str | None, max_blocked: str | None) -> None:
    age = MaxAge.parse(max_age) if max_age is not None else None
    blocked = MaxBlocked.parse(max_blocked) if max_blocked is not None else None
    with invocation.context() as context:
        verdict = probe(context, age, blocked)
    invocation.output.data(verdict.content, verdict.lines, None if verdict.well else NotWell(verdict.text))


def last_runs(context: Context, number: int, tables: Sequence[str] = ()) -> Answer:
    """The latest runs, and how many records are waiting. Raises UsageError."""
    runs = latest_runs(context, number)
    known = _known(context, tables)
    states, waiting = context.journal.queue_counts(known), context.journal.queue_counts_by_table()
    in_order = dict.fromkeys([*(model.table for model in context.contract.models), *sorted(waiting)])
    by_table = {table: waiting[table] for table in in_order if table in waiting and (not known or table in known)}
    now = context.journal.now()
    amount = sum_of(money_waiting(context, known))

    def text() -> Iterator[str]:
        yield from run_lines(runs)
        for each in runs:
            if each.ends_after(now):
                yield f"Run {each.run_id[:8]} ends in the future, {span(ahead(each, now))} from now: a clock is wrong."
        told = f" ({money(amount)})" if amount else ""
        yield f"Retry queue: {states['open']} open{told}, {states['held']} held, {states['ignored']} ignored."
        if len(by_table) > 1:
            for table, counts in by_table.items():
                yield f"  {context.contract.nouns_of(table)}: {_counted(counts)}"

    return {"runs": [_run_json(each) for each in runs], "queue": states, "tables": by_table, "amount": amount}, text


def _counted(states: Mapping[QueueState, int]) -> str:
    return ", ".join(f"{number} {state}" for state, number in states.items())


def _known(context: Context, tables: Sequence[str]) -> Sequence[str]:
    """The tables, each once, if models fill them all. Raises UsageError."""
    return list(dict.fromkeys(model.table for model in models_of(context, tables))) if tables else []


def one_run(context: Context, run_id: str, spool: Spool, tables: Sequence[str] = (), verbose: bool = False) -> Answer:
    """One run. Writes what it did to each record to `spool`. Raises NotFound, UsageError."""
    known = _known(context, tables)
    record = context.journal.run(run_id)
    for event in context.journal.events_of_run(record.run_id, known):
        if isinstance(spool, JsonSpool):
            spool.add_entry(asdict(event))
        else:
            for line in _event_lines(event, Telling(context.contract, verbose)):
                spool.add(line)

    def text() -> Iterator[str]:
        yield from run_lines([record])
        yield from spool

    return {"run": _run_json(record)}, text


def _run_json(record: RunRecord) -> dict[str, Any]:
    return asdict(record)


def _event_lines(event: Event, telling: Telling) -> Iterator[str]:
    about = f": {event.reason}, {event.message}" if event.reason else ""
    yield f"{telling.named(event.table, event.key)} {event.outcome}{about}"
    if event.outcome == "updated" or telling.verbose:
        yield from telling.lines(event.table, event.changes)
    for warning in event.warnings:
        yield f"    warning {warning['code']}: {warning['message']}"
