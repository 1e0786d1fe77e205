"""The run of a push: guards before the first write, then plan, send, settle and journal every record."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial

from loader import __version__
from loader.context import Context, Progress, StagedRecords
from loader.contract import Model
from loader.dataverse.pace import Interrupted
from loader.errors import CrmUnavailable, GuardTripped, LoaderError
from loader.keys import fold, match_key
from loader.push.comparing import Changes
from loader.push.gather import read_known
from loader.push.guards import MaxChanges
from loader.push.sender import Pusher, Settled
from loader.push.session import CHUNK, Session, open_session, planned_in_waves, plans, why_absent
from loader.push.staging import models_of, stage, stage_chosen
from loader.push.tally import PushReport, Tally, counts_of, outcome_of
from loader.sync.landed import Landings, sibling_keys
from loader.sync.plan import RecordPlan, is_closed
from loader.sync.plan_file import PlanFile
from loader.sync.records import Staged, current
from loader.warehouse.journal import RunStart

log = logging.getLogger(__name__)

MOST_KNOWN = 5_000
"""Records of the journal that are looked for in CRM where nothing is staged."""


def push(
    context: Context,
    *,
    only: Sequence[str] = (),
    tables: Sequence[str] = (),
    chosen: Mapping[str, Sequence[str]] | None = None,
    max_changes: MaxChanges | None = None,
    full: bool = False,
    plan_file: PlanFile | None = None,
    allow_empty: bool = False,
    command: str = "push",
    progress: Progress = lambda done, total: None,
    tell: Callable[[Settled], None] = lambda settled: None,
) -> PushReport:
    """Pushes every staged record, those of some tables, those named, those chosen by table, or those of a plan file.

    One table after the other: what a record looks up is there before it. Records of which nothing moved in GP or in CRM
    since the last run are not compared, unless they are named or `full` is given. `tell` gets what was not unchanged.

    Raises GuardTripped before the first write; once writing began, trouble is in the report.
    """
    journal = context.journal
    start = RunStart.now(command, context.settings.crm_url, __version__, journal.now)
    report = PushReport(start.run_id, tell)
    journal.prepare()
    with journal.holding(start):
        journal.start(start)
        pushes: list[_ModelPush] = []
        log.info("%s began", command, extra={"run_id": start.run_id})
        try:
            named = "records were named" if only or chosen is not None or plan_file else ""
            is_whole = not (named or tables)
            models = models_of(context, tables)
            changes = Changes(context, models, is_whole=is_whole, named=named, full=full)
            pushes += _stage(context, models, only, chosen, plan_file, report, progress, changes)
            _make_ready(context, start.run_id)
            if not allow_empty:
                for each in pushes:
                    each.refuse_nothing_staged()
            if max_changes:
                ahead = {each.model.table: 0 for each in pushes}
                for each in pushes:
                    ahead[each.model.table] += each.plan_ahead()
                staged = sum(len(each.keys) for each in pushes)
                max_changes.check(sum(ahead.values()), staged, context.contract.counted(ahead))
            if plan_file:
                _refuse_gone(context, plan_file, pushes, report)
            for number, each in enumerate(pushes):
                each.push()
                if each.is_whole and all(later.model.table != each.model.table for later in pushes[number + 1 :]):
                    left = _resolve_left_scope(context, each.model.table, pushes)
                    _note_closed_by_others(context, each.model.table, pushes, changes, left)
            if not context.stop.is_set():
                changes.keep(start.run_id)
            report.comparison = changes.as_json()
        except Interrupted:
            for each in pushes:
                each.settle_rest(None)
        except LoaderError as error:
            report.failure = error
            if isinstance(error, CrmUnavailable):
                for each in pushes:
                    each.settle_rest(error)
        except BaseException:
            journal.finish(start.run_id, counts_of(report, context), "error", "ended by an unexpected error")
            raise
        counts = counts_of(report, context)
        report.interrupted = context.stop.is_set() and report.failure is None
        journal.finish(start.run_id, counts, outcome_of(report), str(report.failure or "") or None)
        told = ", ".join(f"{count} {outcome}" for outcome, count in report.records.items())
        log.info("%s ended as %s: %s staged, %s", command, outcome_of(report), report.staged, told)
        if not report.failure and (witness := context.client.server_time):
            journal.purge(context.settings.retention_days, witness)
    if report.failure and not report.staged:
        raise report.failure
    return report


def _make_ready(context: Context, run_id: str) -> None:
    """Every write looks at the lock first, and goes to the organisation that the journal belongs to."""
    context.client.before_write = context.journal.ensure_held
    context.refuse_other_crm()
    context.journal.enter_crm(run_id, context.organization.id)


def open_in_queue(context: Context, tables: Sequence[str] = ()) -> dict[str, list[str]]:
    """By table, the records of the queue that are open and still staged."""
    found: dict[str, list[str]] = {}
    models = models_of(context, tables)
    for model in models:
        if waiting := context.journal.open_keys(model.table):
            found[model.table] = waiting
    return {each.model.table: found[each.model.table] for each in stage_chosen(context, models, found) if each.keys}


def _stage(
    context: Context,
    models: Sequence[Model],
    only: Sequence[str],
    chosen: Mapping[str, Sequence[str]] | None,
    plan_file: PlanFile | None,
    report: PushReport,
    progress: Progress,
    changes: Changes,
) -> list[_ModelPush]:
    """What every model has to push, staged before the first write."""
    landings = Landings.of(models)
    if plan_file:
        chosen = {model.table: list(plan_file.keys_of(model.table).values()) for model in models}
    if chosen is None:
        everything = stage(context, models, only, None if only else changes.open_keys)
    else:
        everything = stage_chosen(context, models, chosen)
    is_whole = not only and chosen is None
    return [
        _ModelPush(context, staged, landings, plan_file, report, progress, is_whole, changes)
        for staged in everything
        if is_whole or staged.keys
    ]


def _resolve_left_scope(context: Context, table: str, pushes: Sequence[_ModelPush]) -> list[str]:
    """What waits in the queue and is staged by none of a table's models waits for nothing any more. Gives its keys."""
    return context.journal.resolve_left_scope(
        table, [key for each in pushes if each.model.table == table for key in each.keys]
    )


def _note_closed_by_others(
    context: Context, table: str, pushes: Sequence[_ModelPush], changes: Changes, left: Sequence[str]
) -> None:
    """Has the journal know which records were closed in CRM by hand: the models that close them do not stage them.

    `left`: the records that have waited in the queue until now, so that nobody looked what CRM did with them.
    """
    of_table = [each for each in pushes if each.model.table == table]
    model = next((each.model for each in of_table if each.model.meta.create == "never" and each.model.meta.state), None)
    if model is None:
        return
    journal = context.journal
    staged = {match_key(key) for each in of_table for key in each.keys}
    moved = changes.moved_ids([each.model for each in of_table])
    if moved is None:
        known = journal.known_records(table)
    else:
        unseen = {*map(fold, left), *map(fold, journal.held_or_ignored(table)), *changes.gone(table)}
        known = {**journal.known_records(table, ids=moved), **journal.known_records(table, keys=unseen)}
    ids = {each.key: each.crm_id for each in known.values() if not each.is_closed and match_key(each.key) not in staged}
    base = context.bindings(model).base
    for start in range(0, len(ids), CHUNK):
        found = read_known(context.client, base, dict(list(ids.items())[start : start + CHUNK]))
        held = [current(row, base) for rows in found.rows.values() for row in rows]
        closed = {each.id for each in held if is_closed(each, model)}
        context.journal.note_closed(table, [key for key, id_ in ids.items() if id_.lower() in closed])


class _ModelPush:
    """One model's part of a run."""

    def __init__(
        self,
        context: Context,
        staged: StagedRecords,
        landings: Landings,
        plan_file: PlanFile | None,
        report: PushReport,
        progress: Progress,
        is_whole: bool,
        changes: Changes,
    ) -> None:
        self._context, self._plan_file, self._landings, self._changes = context, plan_file, landings, changes
        self._everything, self._report, self._progress = staged, report, progress
        self.model, self.keys, self.is_whole = staged.model, staged.keys, is_whole
        report.begin(self.model.table)
        self._tally: Tally | None = None
        self._session: Session | None = None
        self._ahead: list[list[tuple[Staged, RecordPlan]]] | None = None
        self._counted: set[str] | None = None

    def refuse_nothing_staged(self) -> None:
        """Raises GuardTripped where nothing is staged though CRM has open records that this journal knows."""
        context, model = self._context, self.model
        if self.keys or not self.is_whole or model.meta.create == "never":
            return
        bindings = context.bindings(model)
        known = {entry.crm_id.lower(): entry.key for entry in context.journal.latest_records(model.table, MOST_KNOWN)}
        found = read_known(context.client, bindings.base, {key: id_ for id_, key in known.items()})
        records = [current(row, bindings.base) for rows in found.rows.values() for row in rows]
        still_open = [known[each.id] for each in records if each.id in known and not is_closed(each, model)]
        if still_open:
            shown = ", ".join(sorted(still_open)[:3])
            raise GuardTripped(
                f"{model.name} has no rows, but CRM has {model.counted(len(still_open))}"
                " still open that this journal pushed,"
                f" such as {shown}. Nothing was written.",
                "Look whether dbt reads the right GP database (var gp_database). If GP really has no open"
                f" {model.noun} left, run `loader push --allow-empty`.",
            )

    @cached_property
    def _staged(self) -> StagedRecords:
        """The records that are compared. Which these are is decided once the tables before are pushed, or planned."""
        return self._changes.narrow(self._everything, self._landings)

    def _begin_tally(self) -> Tally:
        staged = self._staged
        untouched = staged.untouched()
        self._tally = Tally(self._context, self.model, staged.compared, self._report, self._progress, untouched)
        return self._tally

    def plan_ahead(self) -> int:
        """Plans everything now, to be pushed by `push`; gives the number of records that would be written.

        What rests on rows that the run is still to make is planned again when they are there; nothing is written
        then that was not counted now.
        """
        session = open_session(self._context, self._staged, self._landings, is_expecting=True)
        chunks = self._current_chunks(planned_in_waves(session, self._staged, self._concurrency, self._context.stop))
        if session.index.made or session.waves.count > 1 or sibling_keys(self.model):
            counted = [match_key(plan.key) for chunk in chunks for _, plan in chunk if plan.writes]
            self._counted = set(counted)
            changes = len(counted)
        else:
            self._session, self._ahead = session, list(chunks)
            changes = sum(plan.writes for chunk in self._ahead for _, plan in chunk)
        if self._context.stop.is_set():
            raise Interrupted
        return changes

    def push(self) -> None:
        """Sends what is planned and settles every record. Raises what ends the run early."""
        context, plan_file, tally = self._context, self._plan_file, self._begin_tally()
        session = self._session or open_session(context, self._staged, self._landings)
        pusher = Pusher(
            session,
            partial(self._settle, tally),
            concurrency=self._concurrency,
            batch_size=context.settings.batch_size,
            stop=context.stop,
            still_wanted=partial(_unless_stale, plan_file) if plan_file else lambda plan: plan,
        )
        try:
            if self._ahead is not None:
                pusher.run(self._ahead)
            else:
                for wave in session.waves_of(self._staged):
                    pusher.run(self._current_chunks(plans(session, wave, self._concurrency, context.stop)))
                    if context.stop.is_set():
                        break
        except Interrupted:
            pass
        except LoaderError as error:
            if error.code == "warehouse_unavailable":
                raise
            pusher.failure = pusher.failure or error
        if pusher.failure or context.stop.is_set():
            tally.settle_rest(pusher.failure)
        if pusher.failure:
            raise pusher.failure
        self._changes.used(session.index)

    def settle_rest(self, failure: LoaderError | None) -> None:
        """Settles the records that the run did not come to: all, if it did not come to asking which are compared."""
        tally = self._tally or Tally(self._context, self.model, self.keys, self._report, self._progress)
        tally.settle_rest(failure)

    def _settle(self, tally: Tally, settled: list[Settled]) -> None:
        for each in settled:
            if each.outcome in ("blocked", "failed"):
                self._landings.failed(each.plan.table, each.plan.key, why_absent(each.reason, each.message))
        tally.settle(settled)

    @property
    def _concurrency(self) -> int:
        return self._context.settings.concurrency

    def _current_chunks(
        self, chunks: Iterator[list[tuple[Staged, RecordPlan]]]
    ) -> Iterator[list[tuple[Staged, RecordPlan]]]:
        if self._plan_file:
            chunks = _only_current(chunks, self._plan_file)
        return chunks if self._counted is None else _only_counted(chunks, self._counted)


def _only_counted(
    chunks: Iterator[list[tuple[Staged, RecordPlan]]], counted: set[str]
) -> Iterator[list[tuple[Staged, RecordPlan]]]:
    """Records that --max-changes has not counted, because they moved since, are not written."""
    for chunk in chunks:
        yield [
            (staged, _stale(plan) if plan.writes and match_key(plan.key) not in counted else plan)
            for staged, plan in chunk
        ]


def _only_current(
    chunks: Iterator[list[tuple[Staged, RecordPlan]]], plan_file: PlanFile
) -> Iterator[list[tuple[Staged, RecordPlan]]]:
    """Records that moved since the plan was made are refused one by one."""
    for chunk in chunks:
        yield [
            (staged, plan if _is_set_aside(plan) or plan_file.is_current(plan) else _stale(plan))
            for staged, plan in chunk
        ]


def _is_set_aside(plan: RecordPlan) -> bool:
    return plan.reason in ("held", "ignored")


def _unless_stale(plan_file: PlanFile, plan: RecordPlan) -> RecordPlan:
    """A record that is planned again within the run: it goes where nothing but the plan itself has moved it."""
    return plan if plan_file.is_current(plan) or plan_file.is_rest(plan) else _stale(plan)


def _stale(plan: RecordPlan) -> RecordPlan:
    message = "changed in GP or in CRM since the plan was made; plan again"
    return RecordPlan(plan.key, plan.table, "block", plan.crm_id, reason="plan_stale", message=message)


def _refuse_gone(context: Context, plan_file: PlanFile, pushes: Sequence[_ModelPush], report: PushReport) -> None:
    """Records of the plan that are staged no more."""
    message = "no longer in scope in GP; plan again"
    for table in dict.fromkeys(table for table, _ in plan_file.entries):
        present = {match_key(key) for each in pushes if each.model.table == table for key in each.keys}
        gone = [key for match, key in plan_file.keys_of(table).items() if match not in present]
        if gone:
            tally = Tally(context, context.contract.model_of(table), gone, report, lambda done, total: None)
            refused = [RecordPlan(key, table, "block", reason="plan_stale", message=message) for key in gone]
            tally.settle([Settled(plan, "blocked", "plan_stale", message) for plan in refused])
