"""The run of a push: guards before the first write, then plan, send, settle and journal every order."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from loader import __version__
from loader.contract import Model
from loader.dataverse.pace import Interrupted
from loader.errors import CrmUnavailable, GuardTripped, LoaderError, UsageError
from loader.push.gather import read_orders
from loader.push.sender import Pusher, Settled, reason_of, settled_unsent
from loader.push.session import Session, open_session, plans, set_aside
from loader.run import Run
from loader.sync.lookups import match_key
from loader.sync.plan import OrderPlan, is_closed
from loader.sync.plan_file import PlanFile
from loader.sync.records import Staged, current
from loader.warehouse.journal import OrderResult, RunCounts, RunOutcome, RunStart

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]

MOST_KNOWN = 5_000
"""Records of the journal that are looked for in CRM where nothing is staged."""

OUTCOMES = ("created", "updated", "unchanged", "skipped", "blocked", "failed")
_LINES = ("create", "update", "delete")


@dataclass
class PushReport:
    """How a run ended; `failure` is what ended it early."""

    run_id: str
    tell: Callable[[Settled], None] = lambda settled: None
    """Gets the orders that there is something to say of."""
    staged: int = 0
    orders: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    lines: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_LINES, 0))
    requests: dict[str, int] = field(default_factory=lambda: {"read": 0, "write": 0})
    stale: int = 0
    """Blocked ones that only moved since the plan was made: nothing waits for them."""
    failure: LoaderError | None = None
    interrupted: bool = False

    @property
    def in_trouble(self) -> int:
        return self.orders["blocked"] + self.orders["failed"]

    def as_json(self) -> dict[str, Any]:
        return {
            "run_id": self.run_id,
            "orders": self.orders,
            "lines": self.lines,
            "requests": self.requests,
        }


@dataclass(frozen=True)
class MaxChanges:
    """The guard of --max-changes: orders to create or update, as a number or as percent of the staged orders."""

    limit: int
    percent: bool = False

    @classmethod
    def parse(cls, text: str) -> MaxChanges:
        match = re.fullmatch(r"\s*(\d{1,9})\s*(%?)\s*", text)
        if not match or (match[2] and int(match[1]) > 100):
            raise UsageError(f"--max-changes {text!r} is not a number or a percentage.", "Give for example 500 or 10%.")
        return cls(int(match[1]), bool(match[2]))

    def check(self, changes: int, staged: int) -> None:
        allowed = staged * self.limit / 100 if self.percent else self.limit
        if changes > allowed:
            shown = f"{self.limit}% of {staged}" if self.percent else str(self.limit)
            raise GuardTripped(
                f"{changes} orders would be created or updated; --max-changes allows {shown}. Nothing was written.",
                "Look at `loader plan`; raise --max-changes if that is what you want.",
            )


def push(
    run: Run,
    *,
    only: Sequence[str] = (),
    max_changes: MaxChanges | None = None,
    plan_file: PlanFile | None = None,
    allow_empty: bool = False,
    command: str = "push",
    progress: Progress = lambda done, total: None,
    tell: Callable[[Settled], None] = lambda settled: None,
) -> PushReport:
    """Pushes every staged order, those named, or those of a plan file. `tell` gets the orders that were not unchanged.

    Raises GuardTripped before the first write; once writing began, trouble is in the report.
    """
    journal = run.journal
    start = RunStart.now(command, run.settings.crm_url, __version__, journal.now)
    report = PushReport(start.run_id, tell)
    journal.prepare()
    with journal.holding(start):
        journal.start(start)
        pushes: list[_ModelPush] = []
        log.info("%s began", command, extra={"run_id": start.run_id})
        try:
            for model in run.contract.models:
                pushes.append(_ModelPush(run, model, only, plan_file, report, progress))
            _make_ready(run, start.run_id)
            if not allow_empty:
                for each in pushes:
                    each.refuse_nothing_staged()
            if max_changes:
                max_changes.check(sum(each.plan_ahead() for each in pushes), sum(len(each.keys) for each in pushes))
            for each in pushes:
                each.push()
        except Interrupted:
            for each in pushes:
                each.settle_rest(None)
        except LoaderError as error:
            report.failure = error
            if isinstance(error, CrmUnavailable):
                for each in pushes:
                    each.settle_rest(error)
        except BaseException:
            journal.finish(start.run_id, _counts(report, run), "error", "ended by an unexpected error")
            raise
        counts = _counts(report, run)
        report.interrupted = run.stop.is_set() and report.failure is None
        journal.finish(start.run_id, counts, _outcome(report), str(report.failure or "") or None)
        told = ", ".join(f"{count} {outcome}" for outcome, count in report.orders.items())
        log.info("%s ended as %s: %s staged, %s", command, _outcome(report), report.staged, told)
        if not report.failure and (witness := run.client.server_time):
            journal.purge(run.settings.retention_days, witness)
    if report.failure and not report.staged:
        raise report.failure
    return report


def _make_ready(run: Run, run_id: str) -> None:
    """Every write looks at the lock first, and goes to the organisation that the journal belongs to."""
    run.client.before_write = run.journal.ensure_held
    run.refuse_other_crm()
    run.journal.enter_crm(run_id, run.organization.id)


def open_in_queue(run: Run) -> list[str]:
    """Orders of the queue that are open and still staged."""
    found: list[str] = []
    for model in run.contract.models:
        keys = run.keys(model)
        waiting = run.journal.keys_in_queue(model.table, ["open"], set(map(match_key, keys)))
        found += [key for key in keys if match_key(key) in waiting]
    return found


class _ModelPush:
    """One model's part of a run."""

    def __init__(
        self,
        run: Run,
        model: Model,
        only: Sequence[str],
        plan_file: PlanFile | None,
        report: PushReport,
        progress: Progress,
    ) -> None:
        self._run, self._model, self._plan_file, self._report = run, model, plan_file, report
        chosen = [entry["order"] for entry in plan_file.entries.values()] if plan_file else only
        self._is_whole = not (only or plan_file)
        self._staged = run.stage(model, None if self._is_whole else chosen)
        if only:
            self._staged.require(only)
        self.keys = self._staged.keys
        self._tally = _Tally(run, model, self.keys, report, progress)
        self._ahead: list[list[tuple[Staged, OrderPlan]]] | None = None

    def refuse_nothing_staged(self) -> None:
        """Raises GuardTripped where nothing is staged though CRM has open records that this journal knows."""
        if self.keys or not self._is_whole:
            return
        run, model, bindings = self._run, self._model, self._run.bindings(self._model)
        known = {entry.crm_id.lower(): entry.key for entry in run.journal.latest_xref(model.table, MOST_KNOWN)}
        found = read_orders(run.client, bindings.base, list(known.values()))
        records = [current(row, bindings.base) for rows in found.rows.values() for row in rows]
        still_open = [known[each.id] for each in records if each.id in known and not is_closed(each, model)]
        if still_open:
            shown = ", ".join(sorted(still_open)[:3])
            raise GuardTripped(
                f"{model.name} has no rows, but CRM has {len(still_open):,} open records that this journal pushed,"
                f" such as {shown}. Nothing was written.",
                "Look whether dbt reads the right GP database (var gp_database). If GP really has no open order left,"
                " run `loader push --allow-empty`.",
            )

    def plan_ahead(self) -> int:
        """Plans everything now, to be pushed by `push`; gives the number of orders that would be written."""
        self._ahead = list(self._chunks())
        if self._run.stop.is_set():
            raise Interrupted
        return sum(plan.writes for chunk in self._ahead for _, plan in chunk)

    def push(self) -> None:
        """Sends what is planned and settles every order. Raises what ends the run early."""
        run, plan_file = self._run, self._plan_file
        if plan_file:
            _refuse_gone(run, self._model, plan_file, self.keys, self._report)
        pusher = Pusher(
            self._session,
            self._tally.settle,
            concurrency=run.settings.concurrency,
            batch_size=run.settings.batch_size,
            stop=run.stop,
            still_wanted=partial(_unless_stale, plan_file) if plan_file else lambda plan: plan,
        )
        try:
            pusher.run(self._chunks() if self._ahead is None else self._ahead)
        except Interrupted:
            pass
        except LoaderError as error:
            if error.code == "warehouse_unavailable":
                raise
            pusher.failure = pusher.failure or error
        if pusher.failure or run.stop.is_set():
            self._tally.settle_rest(pusher.failure)
        elif self._is_whole:
            run.journal.resolve_left_scope(self._model.table, self.keys)
        if pusher.failure:
            raise pusher.failure

    def settle_rest(self, failure: LoaderError | None) -> None:
        """Settles the orders that the run did not come to."""
        self._tally.settle_rest(failure)

    @cached_property
    def _session(self) -> Session:
        return open_session(self._run, self._staged)

    def _chunks(self) -> Iterator[list[tuple[Staged, OrderPlan]]]:
        chunks = plans(self._session, self._staged.orders(), self._run.settings.concurrency, self._run.stop)
        return _only_current(chunks, self._plan_file) if self._plan_file else chunks


def _only_current(
    chunks: Iterator[list[tuple[Staged, OrderPlan]]], plan_file: PlanFile
) -> Iterator[list[tuple[Staged, OrderPlan]]]:
    """Orders that moved since the plan was made are refused one by one."""
    for chunk in chunks:
        yield [
            (staged, plan if _is_set_aside(plan) or plan_file.is_current(plan) else _stale(plan))
            for staged, plan in chunk
        ]


def _is_set_aside(plan: OrderPlan) -> bool:
    return plan.reason in ("held", "ignored")


def _unless_stale(plan_file: PlanFile, plan: OrderPlan) -> OrderPlan:
    """An order that is planned again within the run: it goes where nothing but the plan itself has moved it."""
    return plan if plan_file.is_current(plan) or plan_file.is_rest(plan) else _stale(plan)


def _stale(plan: OrderPlan) -> OrderPlan:
    message = "changed in GP or in CRM since the plan was made; plan again"
    return OrderPlan(plan.key, plan.table, "block", plan.crm_id, reason="plan_stale", message=message)


def _refuse_gone(run: Run, model: Model, plan_file: PlanFile, keys: Sequence[str], report: PushReport) -> None:
    """Orders of the plan that are staged no more."""
    present = {match_key(key) for key in keys}
    gone = [entry["order"] for key, entry in plan_file.entries.items() if key not in present]
    tally = _Tally(run, model, gone, report, lambda done, total: None)
    message = "no longer in scope in GP; plan again"
    refused = [OrderPlan(key, model.table, "block", reason="plan_stale", message=message) for key in gone]
    tally.settle([Settled(plan, "blocked", "plan_stale", message) for plan in refused])


class _Tally:
    """Counts and journals what is settled; knows what is not."""

    def __init__(self, run: Run, model: Model, keys: Sequence[str], report: PushReport, progress: Progress) -> None:
        self._run, self._model, self._report, self._progress = run, model, report, progress
        self._total = len(keys)
        self._done = 0
        self._open = Counter(keys)
        own = set(map(match_key, keys))
        self._queued = run.journal.keys_in_queue(model.table, ["open"], own)
        self._known = run.journal.known_keys(model.table, own)

    def settle(self, orders: list[Settled]) -> None:
        self._done += len(orders)
        self._report.staged += len(orders)
        for each in orders:
            self._open[each.plan.key] -= 1
            self._report.orders[each.outcome] += 1
            self._report.stale += each.reason == "plan_stale"
            if each.pushed:
                for action in _LINES:
                    self._report.lines[action] += each.plan.count_lines(action)
            if each.outcome != "unchanged" or each.plan.warnings:
                self._report.tell(each)
        news = [_result(each) for each in orders if self._is_news(each)]
        if news:
            self._run.journal.record(news, self._report.run_id, _counts(self._report, self._run))
        for each in orders:
            if each.outcome in ("blocked", "failed"):
                level = logging.WARNING if each.outcome == "blocked" else logging.ERROR
                about = {"order": each.plan.key, "outcome": each.outcome, "reason": each.reason}
                log.log(level, "%s: %s, %s", each.outcome, each.reason, each.message, extra=about)
        self._progress(self._done, self._total)

    def settle_rest(self, failure: LoaderError | None) -> None:
        """Orders the run did not come to. In a run that came to its end those are no longer staged."""
        left = list(self._open.elements())
        if not left:
            return
        reason = reason_of(failure) if failure else "interrupted"
        message = str(failure) if failure else "the run was stopped before it came to this order"
        aside = self._run.journal.held_or_ignored(self._model.table)
        settled: list[Settled] = []
        for key in left:
            if key in aside:
                settled.append(settled_unsent(set_aside(key, self._model.table, aside[key])))
            else:
                plan = OrderPlan(key, self._model.table, "block", reason=reason, message=message)
                settled.append(Settled(plan, "failed", reason, message, reached=False))
        self.settle(settled)

    def _is_news(self, settled: Settled) -> bool:
        """Unchanged orders concern the journal only where it did not know them, or believed them in trouble."""
        key = match_key(settled.plan.key)
        return (
            settled.outcome != "unchanged"
            or bool(settled.plan.warnings)
            or key in self._queued
            or key not in self._known
        )


def result_json(settled: Settled) -> dict[str, Any]:
    """An order's entry in `push --json`."""
    reason, message = settled.reason or None, settled.message
    return {**settled.plan.entry(), "outcome": settled.outcome, "reason": reason, "message": message}


def _result(settled: Settled) -> OrderResult:
    plan = settled.plan
    return OrderResult(
        key=plan.key,
        table=plan.table,
        crm_id=plan.crm_id,
        action=plan.action,
        outcome=settled.outcome,
        reason=settled.reason or None,
        message=settled.message or None,
        changes=plan.changes_text if plan.writes else (),
        warnings=[vars(warning) for warning in plan.warnings],
        missing=_missing(plan),
        request_id=settled.request_id or None,
        shared_with=":".join(plan.share) if plan.share and settled.pushed else None,
        not_shared_with=":".join(plan.refused_share) if plan.refused_share else None,
        pushed=settled.pushed,
        reached=settled.reached,
    )


def _missing(plan: OrderPlan) -> list[dict[str, Any]]:
    """The rows that CRM lacks for the order, each once however many of its lines name it."""
    distinct = {(each.code, each.table, tuple(each.match.items())) for each in plan.obstacles if each.table}
    return [{"code": code, "table": table, "match": dict(match)} for code, table, match in sorted(distinct)]


def _counts(report: PushReport, run: Run) -> RunCounts:
    report.requests = run.requests
    return RunCounts(
        staged=report.staged,
        **report.orders,
        lines_created=report.lines["create"],
        lines_updated=report.lines["update"],
        lines_deleted=report.lines["delete"],
        requests_read=report.requests["read"],
        requests_write=report.requests["write"],
    )


def _outcome(report: PushReport) -> RunOutcome:
    if report.failure:
        return "stopped" if isinstance(report.failure, GuardTripped) and not report.staged else "error"
    if report.interrupted:
        return "interrupted"
    return "blocked" if report.in_trouble else "ok"
