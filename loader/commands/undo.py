"""`loader undo`: puts the orders that a run changed back to what CRM held before, from the journal's before-images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from loader import __version__
from loader.contract import Model
from loader.dataverse.batch import ChangeSet, Operation, Reply
from loader.dataverse.client import LostReply
from loader.errors import NotFound
from loader.report.text import table
from loader.run import Run
from loader.sync import changeset
from loader.sync.binding import Binding
from loader.sync.canonical import Value
from loader.sync.diff import difference
from loader.sync.gather import read_orders
from loader.sync.lookups import match_key
from loader.sync.records import Current, Desired, currency_of, current, line_key
from loader.warehouse.journal import Event, OrderResult, RunCounts, RunStart

_CANCEL = {"salesorder": ("CancelSalesOrder", "OrderClose", "orderclose")}
"""CRM table → its cancelling action, that action's parameter and its table (dataverse facts 2.2)."""


@dataclass(frozen=True)
class Undone:
    """What became of one order: undone, cancelled, already so, or refused and why."""

    order: str
    outcome: str
    message: str = ""
    changes: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class _Step:
    event: Event
    crm_id: str
    operations: ChangeSet
    changes: tuple[Mapping[str, Any], ...]
    outcome: str


def undo(run: Run, run_id: str, *, plan_only: bool, cancel_created: bool) -> list[Undone]:
    """Reverts a run's updates; its creations are cancelled where asked for. Orders changed since are refused.

    What was put back is held in the retry queue: the next push would send GP's values again. Raises NotFound.
    """
    record = run.journal.run(run_id)
    events = [event for event in run.journal.events(run_id=record.run_id) if event.outcome in ("created", "updated")]
    if not events:
        raise NotFound(f"Run {record.run_id} changed no order.", "`loader status` lists the runs.")
    done: list[Undone] = []
    steps: list[_Step] = []
    for model in run.contract.models:
        own = [event for event in events if event.table == model.table]
        for each in _steps(run, model, own, cancel_created):
            (steps if isinstance(each, _Step) else done).append(each)  # type: ignore[arg-type]
    if plan_only:
        return done + [Undone(step.event.key, f"would be {step.outcome}", "", step.changes) for step in steps]
    start = RunStart.now("undo", run.settings.crm_url, __version__)
    run.journal.prepare()
    with run.journal.holding(start):
        run.journal.start(start)
        for step in steps:
            run.journal.ensure_held()
            done.append(_apply(run, step, start.run_id))
        changed = sum(each.outcome in ("undone", "cancelled") for each in done)
        counts = RunCounts(staged=len(done), updated=changed, blocked=len(done) - changed)
        run.journal.finish(
            start.run_id, counts, "ok" if changed == len(done) else "blocked", f"undo of {record.run_id}"
        )
    return done


def lines(results: Sequence[Undone]) -> Iterator[str]:
    for each in results:
        yield f"{each.order} {each.outcome}" + (f": {each.message}" if each.message else "")
        if each.changes:
            rows = [("", str(c["record"]), c["column"], f"{c['before']} → {c['after']}") for c in each.changes]
            yield from table([("", "RECORD", "COLUMN", "CHANGE"), *rows])


def _steps(run: Run, model: Model, events: Sequence[Event], cancel_created: bool) -> Iterator[_Step | Undone]:
    bindings = run.bindings(model)
    found = read_orders(run.client, bindings.base, [event.key for event in events]) if events else {}
    for event in events:
        rows = [row for row in found[match_key(event.key)] if row[bindings.base.table.id_column] == event.crm_id]
        if not rows:
            yield Undone(event.key, "refused", "CRM no longer has this order")
            continue
        binding = bindings.in_currency(currency_of(rows[0]))
        have = current(rows[0], binding)
        if event.outcome == "created":
            yield (
                _cancelled(event, have, binding)
                if cancel_created
                else Undone(event.key, "refused", "the run created it; --cancel-created cancels it")
            )
        else:
            yield _reverted(event, have, binding)


def _reverted(event: Event, have: Current, binding: Binding) -> _Step | Undone:
    want = _before(have, event, binding)
    if want is None and _is_before(have, event, binding):
        return Undone(event.key, "already so", "CRM holds the values from before the run")
    if want is None:
        return Undone(event.key, "refused", "changed in CRM since the run")
    delta = difference(want, have, binding)
    operations = changeset.for_update(want, have, delta, None, binding)
    reverse = tuple({**change, "before": change["after"], "after": change["before"]} for change in event.changes)
    return _Step(event, have.id, operations, reverse, "undone")


def _cancelled(event: Event, have: Current, binding: Binding) -> _Step | Undone:
    action = _CANCEL.get(binding.table.name)
    if action is None:
        return Undone(event.key, "refused", f"CRM has no action that cancels a {binding.table.name}")
    name, parameter, close = action
    states = binding.model.meta.state
    if states and have.state.get("statecode") in states.closed:
        return Undone(event.key, "already so", "closed in CRM")
    body = {
        parameter: {
            "@odata.type": f"Microsoft.Dynamics.CRM.{close}",
            f"{binding.table.id_column}@odata.bind": f"/{binding.table.entity_set}({have.id})",
            "subject": f"Undo of run {event.run_id}",
        },
        "Status": -1,
    }
    reopen = have.state.get(binding.state_column) in binding.locked_states
    path = f"{binding.table.entity_set}({have.id})"
    first = [Operation("PATCH", path, dict(binding.editable_state))] if reopen else []
    return _Step(event, have.id, ChangeSet((*first, Operation("POST", name, body))), (), "cancelled")


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
        is_it = "/".join(str(part) for part in line_key(values, binding.model)) == self.key
        lines = binding.lines or binding
        return is_it and all(
            lines.same(column, value, values.get(column)) for column, value in self.sides[side].items()
        )


def _line_changes(event: Event) -> list[_Line]:
    """The event's changes put together line by line; they stand one after the other, a column once a line."""
    found: list[_Line] = []
    for change in event.changes:
        if change["table"] == event.table:
            continue
        key = str(change["record"])[len(event.key) + 1 :]
        last = found[-1] if found else None
        if (
            last is None
            or (last.key, last.action) != (key, change["action"])
            or change["column"] in last.sides["after"]
        ):
            last = _Line(change["action"], key, {"before": {}, "after": {}})
            found.append(last)
        for side in ("before", "after"):
            last.sides[side][change["column"]] = change[side]
    return found


def _apply(run: Run, step: _Step, run_id: str) -> Undone:
    try:
        (reply,) = run.client.apply([step.operations])
    except LostReply as error:
        return Undone(step.event.key, "refused", f"CRM's answer got lost ({error}); run the undo again")
    if isinstance(reply, Reply):
        return Undone(step.event.key, "refused", str(reply.error))
    run.journal.record(
        [
            OrderResult(
                key=step.event.key,
                table=step.event.table,
                crm_id=step.crm_id,
                action="update",
                outcome="updated",
                message=f"{step.outcome}: run {step.event.run_id}",
                changes=step.changes,
                pushed=True,
            )
        ],
        run_id,
    )
    run.journal.set_state(step.event.table, step.event.key, "held")
    return replace(Undone(step.event.key, step.outcome, "held in the retry queue"), changes=step.changes)
