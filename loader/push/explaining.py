"""One record, column by column: GP's columns and values, the rule, the staged value, CRM's value; its history."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeAlias, TypeVar

from loader.addresses import record_link
from loader.context import Context, StagedRecords
from loader.contract import Model
from loader.errors import NotFound, UsageError
from loader.keys import KEY_SEPARATOR, match_key
from loader.push.audits import rows_of_record
from loader.push.gather import read_looked_up
from loader.push.session import Session, open_session, planned_in_waves
from loader.push.staging import models_of, stage_chosen
from loader.sync.binding import Binding
from loader.sync.diff import Change
from loader.sync.landed import Landings
from loader.sync.naming import Words
from loader.sync.plan import RecordPlan
from loader.sync.records import Current, Desired, Staged, currency_of, current, desired, line_key, line_value

_Values: TypeAlias = "dict[tuple[str, str], str | None]"
"""CRM column and GP column → what GP holds there, as text."""
_LineKey: TypeAlias = "tuple[Any, ...]"
"""The columns by which lines are told apart."""
_Record = TypeVar("_Record", Desired, Current)

LINES = 100
"""How many lines of a record, and warnings, are shown by default."""
_EVENTS = 5
_TRACE = "audit_field_trace"
_TRACED = 1000
"""How many lines' values in GP are read at a time."""


def explain(
    context: Context,
    key: str,
    tell: Callable[[Mapping[str, Any]], None] = lambda line: None,
    every_line: bool = False,
    words: Callable[[RecordPlan], list[str]] = lambda plan: [],
    table: str = "",
) -> dict[str, Any]:
    """Everything known of a record, staged or not. Raises NotFound if neither GP nor the journal has it.

    `tell` is called for one line after another. If there are more than `LINES`, it is called first for those that
    differ from CRM and, unless `every_line`, for only `LINES` of them. `words` turns a plan into lines of text.
    """
    staged = _chosen(context, key, table)
    model, keys = staged.model, staged.keys
    status = _status(context, model, key)
    content: dict[str, Any] = {
        "table": model.table,
        "key": keys[0] if keys else key,
        "noun": model.noun,
        "status": status,
        "staged": bool(keys),
        "columns": [],
        "line_count": 0,
        "lines_left_out": 0,
        "plan": None,
        "first": [],
        "link": record_link(context.settings.crm_url, model.table, (status or {}).get("crm_id")),
        "queue": [asdict(entry) for entry in context.journal.queue_of(key) if entry.table == model.table],
        "events": [asdict(event) for event in context.journal.events(key=key, limit=_EVENTS, table=model.table)],
    }
    if keys:
        _add_staged(context, staged, content, tell, every_line, words)
    elif status is None and not content["events"]:
        nouns = " or ".join(dict.fromkeys(each.noun for each in models_of(context, [table] if table else [])))
        raise NotFound(f"Neither GP nor the journal knows the {nouns} {key}.", "Check the key.")
    return content


def _chosen(context: Context, key: str, table: str) -> StagedRecords:
    """The record as a push stages it; where none does, of the first table that knows it. Raises UsageError."""
    models = models_of(context, [table] if table else [])
    found = [each for each in stage_chosen(context, models, {model.table: [key] for model in models}) if each.keys]
    tables = list(dict.fromkeys(each.model.table for each in found))
    if len(tables) > 1:
        raise UsageError(
            f"{key} is the key of records in several tables: {', '.join(tables)}.", "Name one with --table."
        )
    if found:
        return found[0]
    known = next((model for model in models if _status(context, model, key)), models[0])
    return context.stage(known, [])


def _status(context: Context, model: Model, key: str) -> dict[str, Any] | None:
    for audit in (f"audit_{model.noun}_status", "audit_record_status"):
        rows = rows_of_record(context, audit, model, key)
        if rows:
            return rows[0]
    return None


def _add_staged(
    context: Context,
    records: StagedRecords,
    content: dict[str, Any],
    tell: Callable[[Mapping[str, Any]], None],
    every_line: bool,
    tell_plan: Callable[[RecordPlan], list[str]],
) -> None:
    session, first = _session_of(context, records)
    staged = next(records.records())
    found = session.read_each([staged]).rows[match_key(staged.key)]
    binding = session.bindings.in_currency(currency_of(found[0]) if found else None)
    want, _, _ = desired(staged, binding, session.index)
    have = current(found[0], binding) if len(found) == 1 else None
    (plan,) = session.plan([staged])
    words = _words(session, have)
    wanted, held = _by_key(want, binding.model), _by_key(have, binding.model)
    lines = _lines_to_tell(staged, binding.model, wanted, held, every_line)
    in_gp = _in_gp(context, binding.model, staged.key, lines[:_TRACED])
    content["columns"] = list(_columns(staged.row, binding, want, have, in_gp.get((), {}), words))
    for start in range(0, len(lines), _TRACED):
        some = lines[start : start + _TRACED]
        values = _in_gp(context, binding.model, staged.key, some) if start else in_gp
        for line in _told(some, binding, wanted, held, values, words):
            tell(line)
    content["line_count"] = len(staged.lines)
    content["lines_left_out"] = 0 if every_line else max(len(staged.lines) - LINES, 0)
    content["plan"] = {**plan.as_json(), "text": tell_plan(plan)}
    content["first"] = [{"table": table, "key": key} for table, key in first]
    if have:
        content["link"] = record_link(context.settings.crm_url, binding.model.table, have.id)


def _words(session: Session, have: Current | None) -> Words:
    """What people know the record's values in CRM by."""
    binding = session.bindings.base
    rows = [(binding, have), *((binding.lines, line) for line in have.lines)] if have else []
    held = (
        (each.table.name, [Change(column, value, None) for column, value in row.values.items()])
        for each, row in rows
        if each and row
    )
    if unknown := session.naming.unknown(held):
        read_looked_up(session.client, session.bindings.tables, session.naming.others, unknown)
    return session.naming.words


def _session_of(context: Context, records: StagedRecords) -> tuple[Session, list[tuple[str, str]]]:
    """A session that plans the record as a push would, and what the push would create before it: (table, key).

    CRM may lack rows that the same push makes in other tables: they are planned, with what they look up in turn.
    """
    session = open_session(context, records)
    chosen: dict[str, list[str]] = {}
    first: list[tuple[str, str]] = []
    missing = _named(context, session.plan(list(records.records())))
    while new := [(table, key) for table, key in missing if key not in chosen.get(table, [])]:
        for table, key in new:
            chosen.setdefault(table, []).append(key)
        landings, first, missing = Landings.of(context.contract.models), [], []
        creating = [model for model in context.contract.models if model.meta.create == "always"]
        for staged in stage_chosen(context, creating, chosen):
            its = open_session(context, staged, landings, is_expecting=True)
            plans = [plan for chunk in planned_in_waves(its, staged, 1) for _, plan in chunk]
            first += [(plan.table, plan.key) for plan in plans if plan.action == "create"]
            missing += _named(context, plans)
        session = open_session(context, records, landings, is_expecting=True)
        missing += _named(context, session.plan(list(records.records())))
    return session, first


def _named(context: Context, plans: Sequence[RecordPlan]) -> list[tuple[str, str]]:
    """Which staged records would be the rows that CRM lacks for these: (table, match key)."""
    found: dict[tuple[str, str], None] = {}
    for obstacle in (each for plan in plans for each in plan.obstacles):
        for model in context.contract.models:
            lines, children = model.children, model.meta.children
            if obstacle.table == model.table:
                paths = model.meta.match_on
            elif lines and children and obstacle.table == lines.table:
                paths = [f"{children.via}.{column}" for column in model.meta.match_on]
            else:
                continue
            values = [str(obstacle.match.get(path) or "") for path in paths]
            if all(values):
                found[model.table, match_key(KEY_SEPARATOR.join(values))] = None
    return list(found)


def _in_gp(context: Context, model: Model, key: str, lines: Sequence[Mapping[str, Any]]) -> dict[_LineKey, _Values]:
    """GP's values, before any rule, of a record, under (), and of these lines of it, by their keys.

    There are none where audit_field_trace does not have the record, or the key of its lines is not one number. The
    record and its lines are one query: the view takes as long for both as for one.
    """
    where = "part = 'header'"
    keys = [line_key(line, model) for line in lines]
    if numbers := ", ".join(str(number) for number, *more in keys if isinstance(number, int) and not more):
        where = f"({where} or part = 'line' and line_number in ({numbers}))"
    found: dict[_LineKey, _Values] = {}
    for row in rows_of_record(context, _TRACE, model, key, where):
        line = (row["line_number"],) if row["part"] == "line" else ()
        found.setdefault(line, {})[row["crm_column"], row["gp_column"]] = row["gp_value"]
    return found


def _by_key(record: _Record | None, model: Model) -> dict[_LineKey, _Record]:
    """A record's lines by their keys."""
    return {line_key(line.values, model): line for line in record.lines} if record else {}


def _lines_to_tell(
    staged: Staged,
    model: Model,
    wanted: Mapping[_LineKey, Desired],
    held: Mapping[_LineKey, Current],
    every_line: bool,
) -> Sequence[Mapping[str, Any]]:
    """All staged lines. Of more than `LINES`, unless `every_line`, only so many: those that differ from CRM first."""
    if len(staged.lines) <= LINES or every_line:
        return staged.lines

    def is_equal(row: Mapping[str, Any]) -> bool:
        key = line_key(row, model)
        after, now = wanted.get(key), held.get(key)
        return bool(after and now and all(now.values.get(name) == value for name, value in after.values.items()))

    return sorted(staged.lines, key=is_equal)[:LINES]


def _told(
    lines: Sequence[Mapping[str, Any]],
    binding: Binding,
    wanted: Mapping[_LineKey, Desired],
    held: Mapping[_LineKey, Current],
    in_gp: Mapping[_LineKey, _Values],
    words: Words,
) -> Iterator[dict[str, Any]]:
    if binding.lines is None:
        return
    for row in lines:
        key = line_key(row, binding.model)
        columns = _columns(row, binding.lines, wanted.get(key), held.get(key), in_gp.get(key, {}), words)
        yield {"line": line_value(key), "columns": list(columns)}


def _columns(
    row: Mapping[str, Any], binding: Binding, want: Desired | None, have: Current | None, in_gp: _Values, words: Words
) -> Iterator[dict[str, Any]]:
    known = words.get(binding.table.name, {})
    for column in binding.model.sent:
        after = {**want.values, **want.state} if want else {}
        now = {**have.values, **have.state} if have else {}
        word = known.get(column.name)
        comparable = column.name in after and have is not None
        yield {
            "column": column.name,
            "gp": list(column.meta.gp),
            "gp_values": [in_gp.get((column.name, each)) for each in column.meta.gp],
            "rule": column.meta.rule,
            "staged": row[column.name],
            "sent": after.get(column.name),
            "crm": now.get(column.name),
            **({"sent_shown": word(after.get(column.name)), "crm_shown": word(now.get(column.name))} if word else {}),
            "equal": after[column.name] == now.get(column.name) if comparable else None,
        }
