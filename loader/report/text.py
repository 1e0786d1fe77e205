"""Plans, runs and the queue as lines of text for people."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from loader.contract import Contract
from loader.push.checking import Finding
from loader.push.comparing import ALWAYS
from loader.push.planning import PlanReport
from loader.push.sender import Settled
from loader.push.tally import PushReport
from loader.report.changes import SIGNS, Telling
from loader.report.spool import Spool
from loader.report.words import counted, minute, money, span
from loader.sync.plan import RecordPlan
from loader.sync.plan_file import PlanFile
from loader.visible import styled, visible
from loader.warehouse.journal import QueueEntry, RunRecord

NEW_IN_FULL = 1_000
"""New records that a plan shows field by field, unless more are asked for."""

WARNINGS = 200
"""Distinct warnings that are shown as text."""

_CAUSES = 5
"""The causes that are named of the records of one table for which a plan does the same."""

_COUNTS = ("created", "updated", "unchanged", "skipped", "blocked", "failed")


class PlanText:
    """A plan for people: record by record, field by field; the closing lines count by table and cause."""

    def __init__(self, telling: Telling, quiet: bool = False) -> None:
        self._telling, self._quiet = telling, quiet
        self._lines = Spool()
        self._warnings = Warnings(telling)
        self._new = 0

    def add(self, plan: RecordPlan) -> None:
        if self._quiet:
            return
        self._warnings.add(plan)
        verbose = self._telling.verbose
        if plan.new is not None:
            self._new += 1
        if plan.new and self._new > NEW_IN_FULL and not verbose:
            self._lines.add(f"{_head(plan, self._telling)}, {counted(plan.new.line_count, 'line')}")
        elif plan.writes or plan.action == "block" or verbose:
            for line in record_lines(plan, self._telling):
                self._lines.add(line)

    def lines(self, report: PlanReport) -> Iterator[str]:
        yield from self._lines
        yield from self._warnings.lines()
        if self._new > NEW_IN_FULL and not (self._telling.verbose or self._quiet):
            yield f"Fields are shown of the first {NEW_IN_FULL:,} new records; -v or --order shows the others'."
        if not self._quiet:
            yield from _cause_lines(report)
        lines = report.lines
        yield (
            f"Plan: {_planned(report.records)}; "
            f"lines {lines['create']} to create, {lines['update']} to update, {lines['delete']} to delete."
        )
        if report.warnings:
            yield f"Warnings: {_most(report.warnings, len(report.warnings))}."
        if not self._quiet:
            yield from _compared(report.comparison, sum(report.records.values()))


def _cause_lines(report: PlanReport) -> Iterator[str]:
    """What is planned by table, and of what how often. Nothing if nothing is to be done."""
    rows = [("TABLE", "ACTION", "NUMBER", "CAUSE")]

    def count(named: str, table: str, numbers: Mapping[str, int], owner_of: str = "") -> None:
        for action, number in numbers.items():
            if number and action != "unchanged":
                causes = _most(report.causes.get(table, {}).get(action, {}), _CAUSES)
                cause = causes or _OTHER_CAUSE.get(action, "")
                if owner_of and action == "create":
                    cause += f"; shared with the owner of their {owner_of}"
                rows.append((named, action, f"{number:,}", cause))
                named = ""

    models = {model.table: model for model in report.contract.models if model.table in report.tables}
    for model in models.values():
        share = model.meta.share_with
        count(model.nouns, model.table, report.tables[model.table], share.owner_of if share else "")
        if model.children:
            count(f"{model.noun} lines", model.children.table, report.rows.get(model.children.table, {}))
    if len(rows) > 1:
        yield ""
        yield from table(rows)


_OTHER_CAUSE = {"create": "not in CRM yet", "delete": "not in GP"}


def _most(counts: Mapping[str, int], number: int) -> str:
    """The most frequent ones first: `12 quantity, 3 tax and 4 others`."""
    ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    more = len(ordered) - number
    told = ", ".join(f"{count:,} {name}" for name, count in ordered[:number])
    return told + (f" and {more} others" if more > 1 else f", {ordered[-1][1]:,} {ordered[-1][0]}" if more == 1 else "")


def record_lines(plan: RecordPlan, telling: Telling) -> Iterator[str]:
    """What is planned for one record."""
    yield _head(plan, telling)
    yield from _content_lines(plan, telling)


def _content_lines(plan: RecordPlan, telling: Telling) -> Iterator[str]:
    if plan.writes:
        yield from telling.lines(plan.table, plan.changes_json())
    if plan.writes and plan.share and (telling.verbose or plan.action != "create"):
        yield f"    shared with {_sharer(plan.table, ' '.join(plan.share), telling)}"


def _sharer(table: str, owner: str, telling: Telling) -> str:
    """The owner that a record is shared with, by whose owner it is."""
    models = telling.contract.models if telling.contract else ()
    share = next((model.meta.share_with for model in models if model.table == table), None)
    if share is None:
        return owner
    return f"the owner of its {share.owner_of}" + (f" ({owner})" if telling.verbose else "")


def saved_plan_lines(saved: PlanFile, telling: Telling) -> Iterator[str]:
    """A plan file, record by record as `plan` shows it, and how many records of each table it writes."""
    yield f"Made at {saved.created_at} for {saved.crm_url}, of {'every record' if saved.whole else 'some records'}."
    counts: Counter[tuple[str, str]] = Counter()
    for entry in saved.entries.values():
        counts[entry["table"], entry["action"]] += 1
        sign, colour = SIGNS[entry["action"]]
        named = telling.named(entry["table"], entry["key"])
        yield styled(f"{sign} {named}", colour, bold=True) + f" {entry['action']}"
        yield from telling.lines(entry["table"], entry["changes"])
        if entry["share_with"]:
            yield f"    shared with {_sharer(entry['table'], entry['share_with'].replace(':', ' '), telling)}"
    told = ", ".join(f"{table} {number} to {action}" for (table, action), number in sorted(counts.items()))
    yield f"Plan: {told or 'nothing to write'}. Apply it with `loader push FILE`."


def _head(plan: RecordPlan, telling: Telling) -> str:
    sign, colour = SIGNS.get(plan.action, (" ", ""))
    about = f": {plan.reason}, {plan.message}" if plan.reason else ""
    action = "blocked" if plan.action == "block" else plan.action
    return styled(f"{sign} {telling.named(plan.table, plan.key)}", colour, bold=True) + f" {action}{about}"


class PushText:
    """A push for people: the records in trouble, warnings, counts by table; with -v what was written."""

    def __init__(self, telling: Telling, quiet: bool = False) -> None:
        self._telling, self._quiet = telling, quiet
        self._lines = Spool()
        self._warnings = Warnings(telling)

    def add(self, settled: Settled) -> None:
        if self._quiet:
            return
        plan = settled.plan
        self._warnings.add(plan)
        named = self._telling.named(plan.table, plan.key)
        if settled.outcome in ("blocked", "failed"):
            name = styled(f"! {named}", "red", bold=True)
            self._lines.add(f"{name} {settled.outcome}: {settled.reason}, {settled.message}")
        elif settled.pushed and self._telling.verbose:
            sign, colour = SIGNS[plan.action]
            self._lines.add(styled(f"{sign} {named}", colour, bold=True) + f" {settled.outcome}")
            for line in _content_lines(plan, self._telling):
                self._lines.add(line)

    def lines(self, report: PushReport) -> Iterator[str]:
        yield from self._lines
        yield from self._warnings.lines()
        for table_, counts in report.tables.items():
            yield f"{_nouns(report.contract, table_)}: {_counted(counts)}."
        lines, requests = report.lines, report.requests
        yield (
            f"Lines: {lines['create']} created, {lines['update']} updated, {lines['delete']} deleted. "
            f"Requests: {requests['read']} read, {requests['write']} write. Run {report.run_id}."
        )
        yield from _compared(report.comparison, report.staged)


def check_lines(findings: Iterable[Finding]) -> Iterator[str]:
    marks = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "error": ("✗", "red")}
    for finding in findings:
        mark, colour = marks[finding.state]
        yield styled(mark, colour) + f" {finding.text}"
        if finding.remedy:
            yield f"    {finding.remedy}"


def queue_lines(
    entries: Sequence[QueueEntry],
    contract: Contract,
    now: dt.datetime,
    amounts: Sequence[Decimal | None] = (),
) -> Iterator[str]:
    """The queue's entries, with how long they have waited and, where it is known, the money; what is missing below."""
    if not entries:
        yield "The retry queue is empty."
        return
    rows = [(contract.noun.upper(), "STATE", "REASON", "SINCE (UTC)", "AGE", "TRIES", "AMOUNT")]
    for number, entry in enumerate(entries):
        since = minute(entry.first_failed_at)
        age = span(now - entry.first_failed_at) if entry.first_failed_at else ""
        amount = money(amounts[number]) if amounts else ""
        named = contract.named(entry.table, entry.key)
        rows.append((named, entry.state, entry.reason or "", since, age, str(entry.attempts), amount))
    head, *lines = table([row if amounts else row[:-1] for row in rows])
    yield head
    for line, entry in zip(lines, entries, strict=True):
        yield line
        if entry.message:
            yield f"    {entry.message}"
    yield f"{len(entries):,} in the queue."


def run_lines(runs: Sequence[RunRecord]) -> Iterator[str]:
    """The runs; below each one its message, if it has one."""
    if not runs:
        yield "No run yet. `loader push` makes the first."
        return
    rows = [("RUN", "STARTED (UTC)", "SECONDS", "COMMAND", "OUTCOME", "STAGED", "RECORDS")]
    for run in runs:
        seconds = f"{(run.finished_at - run.started_at).total_seconds():.0f}" if run.finished_at else ""
        told = ", ".join(f"{count:,} {name}" for name in _COUNTS if (count := getattr(run.counts, name)))
        started, staged = minute(run.started_at), f"{run.counts.staged:,}"
        rows.append((run.run_id[:8], started, seconds, run.command, run.outcome, staged, told))
    head, *lines = table(rows)
    yield head
    for line, run in zip(lines, runs, strict=True):
        yield line
        if run.message:
            yield f"    {run.message}"


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns of equal width, the first row as head."""
    rows = [[visible(cell) for cell in row] for row in rows]
    widths = [max(len(row[number]) for row in rows) for number in range(len(rows[0]))]
    for number, row in enumerate(rows):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        yield styled(line, bold=True) if number == 0 else line


def _compared(comparison: Mapping[str, Any], number: int) -> Iterator[str]:
    """How many records were compared, and why not only those that moved, unless the settings ask for all of them."""
    if comparison.get("kind") == "changes":
        yield f"Compared: {comparison['compared']} of {number}; the others have moved neither in GP nor in CRM."
    elif comparison.get("why") not in (None, ALWAYS):
        yield f"Compared: all that was to be looked at, because {comparison['why']}."


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {outcome}" for outcome, count in counts.items())


def _planned(counts: Mapping[str, int]) -> str:
    return (
        f"{counts['create']} to create, {counts['update']} to update, {counts['unchanged']} unchanged, "
        f"{counts['skipped']} skipped, {counts['blocked']} blocked"
    )


def _nouns(contract: Contract | None, table: str) -> str:
    assert contract is not None
    return contract.model_of(table).nouns.capitalize()


class Warnings:
    """Each distinct warning once, with how many records have it; after the first `WARNINGS` they are only counted."""

    def __init__(self, telling: Telling) -> None:
        self._named = telling.named
        self._named_records: dict[tuple[str, str], list[str]] = {}
        self._counts: Counter[tuple[str, str]] = Counter()
        self._others: Counter[str] = Counter()

    def add(self, plan: RecordPlan) -> None:
        for warning in dict.fromkeys((warning.code, warning.message) for warning in plan.warnings):
            if warning not in self._named_records and len(self._named_records) >= WARNINGS:
                self._others[warning[0]] += 1
                continue
            records = self._named_records.setdefault(warning, [])
            self._counts[warning] += 1
            if len(records) < 3:
                records.append(self._named(plan.table, plan.key))

    def lines(self) -> Iterator[str]:
        for (code, text), records in self._named_records.items():
            more = self._counts[code, text] - len(records)
            shown = ", ".join(records) + (f" and {more} more" if more else "")
            yield styled("  warning", "yellow") + f" {code}: {text} ({shown})"
        for code, count in self._others.items():
            yield styled("  warning", "yellow") + f" {code}: {count:,} more like these; --json shows all"


def place_of(change: Mapping[str, object]) -> str:
    """The record of a change: its key, and the line where it is of a line."""
    return str(change["key"]) if change["line"] is None else f"{change['key']} line {change['line']}"
