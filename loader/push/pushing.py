"""The run of a push: guards before the first write, then plan, send, settle and journal every order."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial

from loader import __version__
from loader.contract import Model
from loader.dataverse.pace import Interrupted
from loader.errors import CrmUnavailable, GuardTripped, LoaderError
from loader.keys import match_key
from loader.push.gather import read_orders
from loader.push.guards import MaxChanges
from loader.push.sender import Pusher, Settled
from loader.push.session import Session, open_session, plans
from loader.push.tally import PushReport, Tally, counts_of, outcome_of
from loader.run import Progress, Run
from loader.sync.plan import OrderPlan, is_closed
from loader.sync.plan_file import PlanFile
from loader.sync.records import Staged, current
from loader.warehouse.journal import RunStart

log = logging.getLogger(__name__)

MOST_KNOWN = 5_000
"""Records of the journal that are looked for in CRM where nothing is staged."""


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
            journal.finish(start.run_id, counts_of(report, run), "error", "ended by an unexpected error")
            raise
        counts = counts_of(report, run)
        report.interrupted = run.stop.is_set() and report.failure is None
        journal.finish(start.run_id, counts, outcome_of(report), str(report.failure or "") or None)
        told = ", ".join(f"{count} {outcome}" for outcome, count in report.orders.items())
        log.info("%s ended as %s: %s staged, %s", command, outcome_of(report), report.staged, told)
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
        self._tally = Tally(run, model, self.keys, report, progress)
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
    tally = Tally(run, model, gone, report, lambda done, total: None)
    message = "no longer in scope in GP; plan again"
    refused = [OrderPlan(key, model.table, "block", reason="plan_stale", message=message) for key in gone]
    tally.settle([Settled(plan, "blocked", "plan_stale", message) for plan in refused])
