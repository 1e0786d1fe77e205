"""Plans, runs and the queue as lines of text for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import groupby
from operator import itemgetter
from typing import TypeAlias

from loader.contract import Contract
from loader.push.checking import Finding
from loader.push.planning import PlanReport
from loader.push.sender import Settled
from loader.push.tally import PushReport
from loader.report.spool import Spool
from loader.report.words import money
from loader.sync.diff import Change
from loader.sync.plan import RecordPlan
from loader.sync.plan_file import PlanFile
from loader.visible import styled, visible
from loader.warehouse.journal import QueueEntry, RunRecord

_SIGNS = {"create": ("+", "green"), "update": ("~", "yellow"), "delete": ("-", "red"), "block": ("!", "red")}

Named: TypeAlias = "Callable[[str, str], str]"
"""How people are told of a record, by its table and key."""


def key_alone(table: str, key: str) -> str:
    return key


NEW_IN_FULL = 1_000
"""New records that a plan shows field by field, unless more are asked for."""

WARNINGS = 200
"""Distinct warnings that are shown as text."""

_COUNTS = ("staged", "created", "updated", "unchanged", "skipped", "blocked", "failed")


class PlanText:
    """A plan for people: record by record, field by field; the closing lines count."""

    def __init__(self, verbose: bool, named: Named = key_alone) -> None:
        self._verbose, self._named = verbose, named
        self._lines = Spool()
        self._warnings = Warnings(named)
        self._new = 0

    def add(self, plan: RecordPlan) -> None:
        self._warnings.add(plan)
        if plan.new is not None:
            self._new += 1
        if plan.new and self._new > NEW_IN_FULL and not self._verbose:
            self._lines.add(f"{_head(plan, self._named)}, {plan.new.line_count} lines")
        elif plan.writes or plan.action == "block" or self._verbose:
            for line in order_lines(plan, self._named):
                self._lines.add(line)

    def lines(self, report: PlanReport) -> Iterator[str]:
        yield from self._lines
        yield from self._warnings.lines()
        lines = report.lines
        if self._new > NEW_IN_FULL and not self._verbose:
            yield f"Fields are shown of the first {NEW_IN_FULL:,} new records; -v or --order shows the others'."
        several = len(report.tables) > 1
        for table_, counts in report.tables.items() if several else ():
            yield f"{_nouns(report.contract, table_)}: {_planned(counts)}."
        yield (
            f"Plan: {_planned(report.records)}; "
            f"lines {lines['create']} to create, {lines['update']} to update, {lines['delete']} to delete."
        )
        for title, counts in (("Set apart", report.reasons), ("Warnings", report.warnings)):
            if counts:
                yield f"{title}: {', '.join(f'{count} {code}' for code, count in sorted(counts.items()))}."


def order_lines(plan: RecordPlan, named: Named = key_alone) -> Iterator[str]:
    yield _head(plan, named)
    if not plan.writes:
        return
    if plan.new:
        new = plan.new.record
        yield from (f"    {field}" for field in _fields({**new.values, **new.state}))
        for new_line in new.lines:
            yield _line(new_line.key, "create", _fields(new_line.values))
    for change in (*plan.header, *plan.state):
        yield f"    {_change(change)}"
    for line in plan.lines:
        if line.action == "create":
            yield _line(line.key, line.action, _fields({change.column: change.after for change in line.changes}))
        else:
            yield _line(line.key, line.action, map(_change, line.changes if line.action == "update" else ()))
    if plan.share:
        yield f"    shared with {plan.share[0]} {plan.share[1]}"


def saved_plan_lines(saved: PlanFile) -> Iterator[str]:
    """A plan file, record by record as `plan` shows it, and how many records of each table it writes."""
    yield f"Made at {saved.created_at} for {saved.crm_url}, of {'every record' if saved.whole else 'some records'}."
    counts: Counter[tuple[str, str]] = Counter()
    for entry in saved.entries.values():
        counts[entry["table"], entry["action"]] += 1
        sign, colour = _SIGNS[entry["action"]]
        yield styled(f"{sign} {entry['table']} {entry['key']}", colour, bold=True) + f" {entry['action']}"
        for (table, line, action), changes in groupby(entry["changes"], itemgetter("table", "line", "action")):
            if action == "create":
                texts = _fields({change["column"]: change["after"] for change in changes})
            else:
                texts = [_change(Change(change["column"], change["before"], change["after"])) for change in changes]
            if table == entry["table"]:
                yield from (f"    {text}" for text in texts)
            else:
                yield _line(line if isinstance(line, list) else [line], action, () if action == "delete" else texts)
        if entry["share_with"]:
            yield f"    shared with {entry['share_with'].replace(':', ' ')}"
    told = ", ".join(f"{table} {number} to {action}" for (table, action), number in sorted(counts.items()))
    yield f"Plan: {told or 'nothing to write'}. Apply it with `loader push FILE`."


def _head(plan: RecordPlan, named: Named) -> str:
    sign, colour = _SIGNS.get(plan.action, (" ", ""))
    about = f": {plan.reason}, {plan.message}" if plan.reason else ""
    return styled(f"{sign} {named(plan.table, plan.key)}", colour, bold=True) + f" {plan.action}{about}"


def _line(key: Sequence[object], action: str, texts: Iterable[str]) -> str:
    sign, colour = _SIGNS[action]
    name = styled(f"    {sign} line {', '.join(map(str, key))}", colour)
    return f"{name} {', '.join(texts)}".rstrip()


def _fields(values: Mapping[str, object]) -> list[str]:
    """What something new holds."""
    return [f"{column}: {_value(value)}" for column, value in values.items() if value is not None]


def _change(change: Change) -> str:
    return f"{change.column}: {_value(change.before)} → {_value(change.after)}"


class PushText:
    """A push for people: the records in trouble, warnings, counts by table."""

    def __init__(self, named: Named = key_alone) -> None:
        self._named = named
        self._lines = Spool()
        self._warnings = Warnings(named)

    def add(self, settled: Settled) -> None:
        self._warnings.add(settled.plan)
        if settled.outcome in ("blocked", "failed"):
            name = styled(f"! {self._named(settled.plan.table, settled.plan.key)}", "red", bold=True)
            self._lines.add(f"{name} {settled.outcome}: {settled.reason}, {settled.message}")

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


def check_lines(findings: Iterable[Finding]) -> Iterator[str]:
    marks = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "error": ("✗", "red")}
    for finding in findings:
        mark, colour = marks[finding.state]
        yield styled(mark, colour) + f" {finding.text}"
        if finding.remedy:
            yield f"    {finding.remedy}"


def queue_lines(
    entries: Sequence[QueueEntry], contract: Contract, amounts: Sequence[Decimal | None] = ()
) -> Iterator[str]:
    """The queue's entries, with the money that waits where it is known."""
    if not entries:
        yield "The retry queue is empty."
        return
    rows: list[tuple[str, ...]] = [
        (
            contract.noun.upper(),
            "STATE",
            "REASON",
            "SINCE (UTC)",
            "TRIES",
            *(["AMOUNT"] if amounts else []),
            "WHAT IS MISSING",
        )
    ]
    for number, entry in enumerate(entries):
        since = entry.first_failed_at.strftime("%Y-%m-%d %H:%M") if entry.first_failed_at else ""
        tries, amount = str(entry.attempts), [money(amounts[number])] if amounts else []
        rows.append(
            (
                contract.named(entry.table, entry.key),
                entry.state,
                entry.reason or "",
                since,
                tries,
                *amount,
                entry.message or "",
            )
        )
    yield from table(rows)
    yield f"{len(entries)} in the queue."


def run_lines(runs: Sequence[RunRecord]) -> Iterator[str]:
    if not runs:
        yield "No run yet. `loader push` makes the first."
        return
    rows = [("RUN", "STARTED (UTC)", "SECONDS", "OUTCOME", *(name.upper() for name in _COUNTS))]
    for run in runs:
        seconds = f"{(run.finished_at - run.started_at).total_seconds():.0f}" if run.finished_at else ""
        numbers = (str(getattr(run.counts, name)) for name in _COUNTS)
        rows.append((run.run_id[:8], f"{run.started_at:%Y-%m-%d %H:%M}", seconds, run.outcome, *numbers))
    yield from table(rows)


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns of equal width, the first row as head."""
    rows = [[visible(cell) for cell in row] for row in rows]
    widths = [max(len(row[number]) for row in rows) for number in range(len(rows[0]))]
    for number, row in enumerate(rows):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        yield styled(line, bold=True) if number == 0 else line


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

    def __init__(self, named: Named = key_alone) -> None:
        self._named = named
        self._orders: dict[tuple[str, str], list[str]] = {}
        self._counts: Counter[tuple[str, str]] = Counter()
        self._others: Counter[str] = Counter()

    def add(self, plan: RecordPlan) -> None:
        for warning in dict.fromkeys((warning.code, warning.message) for warning in plan.warnings):
            if warning not in self._orders and len(self._orders) >= WARNINGS:
                self._others[warning[0]] += 1
                continue
            orders = self._orders.setdefault(warning, [])
            self._counts[warning] += 1
            if len(orders) < 3:
                orders.append(self._named(plan.table, plan.key))

    def lines(self) -> Iterator[str]:
        for (code, text), orders in self._orders.items():
            more = self._counts[code, text] - len(orders)
            shown = ", ".join(orders) + (f" and {more} more" if more else "")
            yield styled("  warning", "yellow") + f" {code}: {text} ({shown})"
        for code, count in self._others.items():
            yield styled("  warning", "yellow") + f" {code}: {count:,} more like these; --json has them all"


def _value(value: object) -> str:
    return "none" if value is None else repr(value) if isinstance(value, str) else str(value)


def place_of(change: Mapping[str, object]) -> str:
    """The record of a change: its key, and the line where it is of a line."""
    return str(change["key"]) if change["line"] is None else f"{change['key']} line {change['line']}"
