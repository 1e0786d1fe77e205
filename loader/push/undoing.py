"""Puts the records that a run changed back to what CRM held before, from the journal's before-images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from loader import __version__
from loader.context import Context
from loader.contract import Model
from loader.dataverse.batch import ChangeSet
from loader.dataverse.client import LostReply, RequestFailed
from loader.dataverse.pace import Interrupted, backoff
from loader.errors import LoaderError, NotFound
from loader.keys import match_key
from loader.push.gather import Records, read_known
from loader.sync import changeset
from loader.sync.binding import Binding
from loader.sync.canonical import Value
from loader.sync.diff import by_row, difference
from loader.sync.records import Current, Desired, currency_of, current, line_key, line_value
from loader.warehouse.journal import Event, RecordResult, RunCounts, RunOutcome, RunRecord, RunStart

_ROUNDS = 5
"""How often a record is looked at and sent again where CRM's answer does not arrive."""


@dataclass(frozen=True)
class Undone:
    """What became of one record: undone, cancelled, already so, or refused and why."""

    table: str
    key: str
    outcome: str
    message: str = ""
    changes: tuple[Mapping[str, Any], ...] = ()
    event: Event | None = field(default=None, repr=False)
    """Of the run that is undone."""

    def as_json(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "event"}


def _refused(event: Event, why: str) -> Undone:
    return Undone(event.table, event.key, "refused", why, event=event)


@dataclass(frozen=True)
class _Step:
    event: Event
    crm_id: str
    operations: ChangeSet
    changes: tuple[Mapping[str, Any], ...]
    outcome: str

    def shown(self) -> Undone:
        return Undone(self.event.table, self.event.key, f"would be {self.outcome}", "", self.changes)


@dataclass
class Undoing:
    """What an undo did. `failure` is what ended it early."""

    records: list[Undone]
    failure: LoaderError | None = None
    interrupted: bool = False
    steps: Sequence[_Step | Undone] = field(default=(), repr=False)
    """What an undo that only plans would do, to be done by another one."""

    def count(self, *outcomes: str) -> int:
        return sum(each.outcome in outcomes for each in self.records)


def plan(context: Context, run_id: str, *, cancel_created: bool) -> Undoing:
    """What `undo` would do. Raises NotFound, and GuardTripped where the journal belongs to another CRM."""
    _, events = _changes_of(context, run_id)
    steps = _all_steps(context, events, cancel_created)
    return Undoing([each.shown() if isinstance(each, _Step) else each for each in steps], steps=steps)


def undo(context: Context, run_id: str, *, cancel_created: bool, planned: Undoing | None = None) -> Undoing:
    """Reverts a run's updates; its creations are cancelled where asked for. Records changed since are refused.

    `planned` is what was shown before: it is done as it is. CRM refuses what has moved since then, by its version, and
    that record alone is planned again.

    What looks others up is put back before them: the last table that a push fills comes first.

    What was put back is held in the retry queue: the next push would send GP's values again. Raises NotFound, and
    GuardTripped where the journal belongs to another CRM or another run holds the lock.
    """
    journal = context.journal
    record, events = _changes_of(context, run_id)
    start = RunStart.now("undo", context.settings.crm_url, __version__, journal.now)
    done = Undoing([])
    journal.prepare()
    with journal.holding(start):
        journal.start(start)
        try:
            journal.enter_crm(start.run_id, context.organization.id)
            context.client.before_write = journal.ensure_held
            for each in planned.steps if planned else _all_steps(context, events, cancel_created):
                if context.stop.is_set():
                    raise Interrupted
                done.records.append(_Application(context, start.run_id, cancel_created, done).settle(each))
        except Interrupted:
            done.interrupted = True
        except LoaderError as error:
            done.failure = error
        except BaseException:
            journal.finish(start.run_id, _counts(done, context), "error", "Stopped by an unexpected error.")
            raise
        journal.finish(start.run_id, _counts(done, context), _outcome(done), _told(done, record.run_id, len(events)))
    if done.failure and not done.records:
        raise done.failure
    return done


def _changes_of(context: Context, run_id: str) -> tuple[RunRecord, list[Event]]:
    record = context.journal.run(run_id)
    events = [
        event for event in context.journal.events(run_id=record.run_id) if event.outcome in ("created", "updated")
    ]
    if not events:
        raise NotFound(f"Run {record.run_id} changed no record.", "`loader status` lists the runs.")
    context.refuse_other_crm()
    return record, events


def _counts(done: Undoing, context: Context, more: int = 0) -> RunCounts:
    """An undo pushes nothing: what it refuses is not a record that did not arrive."""
    return RunCounts(
        staged=len(done.records) + more,
        updated=done.count("undone", "cancelled") + more,
        unchanged=done.count("already so"),
        skipped=done.count("refused"),
        requests_read=context.requests["read"],
        requests_write=context.requests["write"],
    )


def _outcome(done: Undoing) -> RunOutcome:
    return "error" if done.failure else "interrupted" if done.interrupted else "ok"


def _told(done: Undoing, run_id: str, records: int) -> str:
    refused, left = done.count("refused"), records - len(done.records)
    parts = [f"Undo of run {run_id}"]
    parts += [f"{refused} refused"] if refused else []
    parts += [f"{left} not reached"] if left else []
    return ", ".join(parts) + "." + (f" {done.failure}" if done.failure else "")


def _all_steps(context: Context, events: Sequence[Event], cancel_created: bool) -> list[_Step | Undone]:
    """What is to be done about each event, by what CRM holds now; those that need nothing first."""
    found = [
        each
        for model in _by_table(context)
        for each in _steps(context, model, [event for event in events if event.table == model.table], cancel_created)
    ]
    return sorted(found, key=lambda each: isinstance(each, _Step))


def _by_table(context: Context) -> list[Model]:
    """A model of each table, in the reverse order of a push."""
    return list({model.table: model for model in reversed(context.contract.models)}.values())


def _steps(context: Context, model: Model, events: Sequence[Event], cancel_created: bool) -> Iterator[_Step | Undone]:
    bindings = context.bindings(model)
    found = _read(context, bindings.base, events) if events else Records({})
    for event in events:
        key = match_key(event.key)
        if key in found.unread:
            yield _refused(event, found.unread[key][1])
            continue
        rows = [row for row in found.rows[key] if row[bindings.base.table.id_column] == event.crm_id]
        if not rows:
            yield _refused(event, f"CRM no longer has this {model.noun}")
            continue
        binding = bindings.in_currency(currency_of(rows[0]))
        have = current(rows[0], binding)
        if event.outcome == "created":
            yield (
                _cancelled(event, have, binding)
                if cancel_created
                else Undone(
                    event.table, event.key, "refused", "the run created it; --cancel-created cancels it", event=event
                )
            )
        else:
            yield _reverted(event, have, binding)


def _read(context: Context, binding: Binding, events: Sequence[Event]) -> Records:
    return read_known(context.client, binding, {event.key: event.crm_id or "" for event in events})


def _reverted(event: Event, have: Current, binding: Binding) -> _Step | Undone:
    want = _before(have, event, binding)
    if want is None and _is_before(have, event, binding):
        return Undone(event.table, event.key, "already so", "CRM holds the values from before the run", event=event)
    if want is None:
        return _refused(event, "changed in CRM since the run")
    delta = difference(want, have, binding)
    operations = changeset.for_update(want, have, delta, None, binding)
    reverse = tuple(map(_reversed, event.changes))
    return _Step(event, have.id, operations, reverse, "undone")


def _reversed(change: Mapping[str, Any]) -> Mapping[str, Any]:
    """The change that takes this one back."""
    other = {"before": "after", "after": "before", "before_shown": "after_shown", "after_shown": "before_shown"}
    actions = {"create": "delete", "delete": "create"}
    action = change["action"] if change["line"] is None else actions.get(change["action"], change["action"])
    return {**change, "action": action, **{name: change[its] for name, its in other.items() if its in change}}


def _cancelled(event: Event, have: Current, binding: Binding) -> _Step | Undone:
    states, its = binding.model.meta.state, binding.model.a_record
    if states is None or not states.cancelled:
        text = f"CRM has no state that cancels {its}, and nothing is ever deleted; delete it in CRM by hand"
        return _refused(event, text)
    state = have.state.get("statecode")
    if state in states.closed or all(have.state.get(column) == value for column, value in states.cancelled.items()):
        return Undone(event.table, event.key, "already so", "closed in CRM", event=event)
    operations = changeset.cancellation(have, binding, f"Undo of run {event.run_id}")
    return _Step(event, have.id, operations, (), "cancelled")


def _closes(model: Model) -> bool:
    """Whether a cancelled record is not changed any more."""
    states = model.meta.state
    return states is not None and states.cancelled.get("statecode") in states.closed


def _before(have: Current, event: Event, binding: Binding) -> Desired | None:
    """What CRM held before: its values now, with each change taken back. None where CRM holds something else now."""
    return _replayed(have, event, binding, "after", "before")


def _is_before(have: Current, event: Event, binding: Binding) -> bool:
    """CRM already holds the values from before: undone earlier, or changed back by hand."""
    return _replayed(have, event, binding, "before", "after") is not None


def _replayed(have: Current, event: Event, binding: Binding, from_: str, to: str) -> Desired | None:
    """CRM's values with the event's changes made from one side to the other; None where they are not on the first."""
    values, state = dict(have.values), dict(have.state)
    lines: list[dict[str, Value]] = [dict(line.values) for line in have.lines]
    for change in event.changes:
        if change["table"] == event.table:
            target: dict[str, Any] = state if change["column"] in state else values
            if not binding.same(change["column"], change[from_], target.get(change["column"])):
                return None
            target[change["column"]] = change[to]
    for line in _line_changes(event):
        gone = {"before": "create", "after": "delete"}
        if line.action != gone[from_]:
            present = next((each for each in lines if line.fits(each, from_, binding)), None)
            if present is None:
                return None
            lines.remove(present)
        else:
            present = {}
        if line.action != gone[to]:
            lines.append({**present, **line.sides[to]})
    return Desired(values, state, tuple(Desired(line, {}) for line in lines))


@dataclass(frozen=True)
class _Line:
    """What an event did to one line; `sides` holds its changed columns before and after."""

    action: str
    key: str
    sides: Mapping[str, dict[str, Value]]

    def fits(self, values: Mapping[str, Value], side: str, binding: Binding) -> bool:
        is_it = str(line_value(line_key(values, binding.model))) == self.key
        lines = binding.lines or binding
        return is_it and all(
            lines.same(column, value, values.get(column)) for column, value in self.sides[side].items()
        )


def _line_changes(event: Event) -> list[_Line]:
    """The event's changes put together line by line."""
    return [
        _Line(
            row[0]["action"],
            str(row[0]["line"]),
            {side: {change["column"]: change[side] for change in row} for side in ("before", "after")},
        )
        for row in by_row(event.changes)
        if row[0]["table"] != event.table
    ]


@dataclass(frozen=True)
class _Application:
    """Puts one record back and enters it, whatever becomes of CRM's answers."""

    context: Context
    run_id: str
    cancel_created: bool
    done: Undoing

    def settle(self, step: _Step | Undone) -> Undone:
        if isinstance(step, Undone):
            if step.outcome == "already so" and step.event and step.event.outcome == "updated":
                # Undone by a run that died before it could hold the record: the next push would send it again.
                self.context.journal.set_state(step.event.table, step.event.key, "held", self._why(step.event))
            elif step.outcome == "already so" and step.event:
                self.context.journal.note_closed(step.event.table, [step.event.key])
            return step
        refused = self._apply(step)
        if refused:
            return refused
        result = RecordResult(
            key=step.event.key,
            table=step.event.table,
            crm_id=step.crm_id,
            action="update",
            outcome="updated",
            message=f"{step.outcome}: run {step.event.run_id}",
            changes=step.changes,
            pushed=True,
            is_closed=step.outcome == "cancelled" and _closes(self.context.contract.model_of(step.event.table)),
        )
        counts = _counts(self.done, self.context, more=1)
        self.context.journal.record_and_hold(result, self.run_id, counts, self._why(step.event))
        return Undone(step.event.table, step.event.key, step.outcome, "held in the retry queue", step.changes)

    def _why(self, event: Event) -> str:
        return f"by the undo of run {event.run_id}"

    def _apply(self, step: _Step) -> Undone | None:
        """None where CRM now holds what it held before. An answer that got lost leads to a look at the record."""
        was_lost, trouble = False, ""
        for number in range(_ROUNDS):
            if number:
                self.context.client.patience.wait(backoff(number - 1))
                (seen,) = _all_steps(self.context, [step.event], self.cancel_created)
                if isinstance(seen, Undone):
                    return None if was_lost and seen.outcome == "already so" else seen
                step = seen
            try:
                replies = self.context.client.apply([step.operations])
            except LostReply as error:
                was_lost, trouble = True, str(error)
                continue
            except RequestFailed as error:
                return _refused(step.event, str(error.error))
            reply = replies[0] if replies else None
            if isinstance(reply, list) and len(reply) == len(step.operations):
                return None
            if reply is None or isinstance(reply, list) or reply.error is None:
                was_lost, trouble = True, "CRM did not answer every operation of the change set"
            elif reply.error.is_foreign:
                was_lost, trouble = True, f"the reply to the change set is not CRM's: {reply.error}"
            elif reply.error.is_passing or reply.error.is_conflict:
                trouble = str(reply.error)
            else:
                return _refused(step.event, str(reply.error))
        return Undone(
            step.event.table,
            step.event.key,
            "refused",
            f"not settled in {_ROUNDS} attempts ({trouble}); run the undo again",
        )
