"""The writes that turn one record in CRM into the desired one, in the order in which CRM accepts them. Pure.

A new record and its first lines are one deep insert, its other lines rows of their own. Totals can only be updated. A
locked record is reopened by a PATCH of its state alone. The state is set last, by an update or by an action that
closes the record, and sharing comes after it. The reasons are in docs/dataverse.md, "Writing records", "Prices and
SOP mode" and "States".
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from loader.dataverse.batch import MAX_OPERATIONS, ChangeSet, Operation
from loader.sync.binding import Binding, Field
from loader.sync.canonical import Value
from loader.sync.diff import Change, Difference, LineChange
from loader.sync.ids import derived_id
from loader.sync.records import Current, Desired

Share = tuple[str, str]
LineKey = tuple[Value, ...]
SHARE = "GrantAccess"

LINES_INSIDE = 50
"""How many lines are inserted together with a new record. CRM may refuse more related records in one insert."""

_EXISTING = {"If-Match": "*"}
"""With this header, CRM does not create a row that is gone; without it, a PATCH is an upsert."""
_NAMESPACE = uuid.UUID("2f6c1a3e-9a55-5d6e-8a36-6b2f6f0f7d11")


def for_create(id_: str, want: Desired, share: Share | None, binding: Binding) -> ChangeSet:
    """A new record: deep insert, the lines that it has no room for, what can only be updated, state and share.

    Where that is more than a change set holds, the deep insert takes as many lines more as it must. A record of which
    CRM makes a line by itself goes without its others: they need that line, so they are the next change set's.
    """
    made = _for_create(id_, want, share, binding, LINES_INSIDE)
    excess = len(made) - MAX_OPERATIONS
    return made if excess <= 0 else _for_create(id_, want, share, binding, LINES_INSIDE + excess)


def _for_create(id_: str, want: Desired, share: Share | None, binding: Binding, inside: int) -> ChangeSet:
    path = _path(binding, id_)
    body = {binding.table.id_column: id_, **binding.new_currency, **_creation(want.values, binding)}
    outside: list[Operation] = []
    late: list[Operation] = []
    if binding.lines and want.lines and not makes_lines(want):
        deep = []
        for number, line in enumerate(want.lines):
            line_id = derived_id(_NAMESPACE, f"{id_}/{number}")
            if number < inside:
                deep.append({binding.lines.table.id_column: line_id, **_creation(line.values, binding.lines)})
            else:
                outside.append(_insert_line(line_id, line.key, line.values, path, binding, binding.lines))
            late += _completion(_path(binding.lines, line_id), line.values, binding.lines, line.key)
        if deep:
            body[binding.lines_navigation] = deep
    late += _completion(path, want.values, binding)
    reopens = binding.is_created_locked or binding.born.get(binding.state_column) in binding.locked_states
    before = binding.editable_state if reopens else binding.born
    return ChangeSet(
        (
            Operation("POST", binding.table.entity_set, body),
            *([_set_state(path, binding.editable_state)] if reopens else []),
            *outside,
            *late,
            *(_reach(id_, want.state, binding) if _differs(want.state, before) else ()),
            *_grant(id_, share, binding),
        )
    )


def makes_lines(want: Desired) -> bool:
    """Whether CRM makes one of the lines by itself, together with the record."""
    return any(line.is_made for line in want.lines)


def is_part(want: Desired) -> bool:
    """Whether a new record needs a second change set, for the lines that wait for the one that CRM makes."""
    return makes_lines(want) and not all(line.is_made for line in want.lines)


def for_update(want: Desired, have: Current, delta: Difference, share: Share | None, binding: Binding) -> ChangeSet:
    """Changes to a record as it was read: CRM refuses all of them (412) where it has moved since."""
    path = _path(binding, have.id)
    header = {change.column: change.after for change in delta.header}
    content = [
        *_patch(path, header, binding.on_create),
        *_lines(delta.lines, have, binding),
        *_patch(path, header, binding.update_only),
    ]
    final = want.state or have.state
    is_locked = have.state.get(binding.state_column) in binding.locked_states
    reopens = is_locked and (content or _differs(final, have.state))
    before = binding.editable_state if reopens else have.state
    writes = [
        *([_set_state(path, binding.editable_state)] if reopens else []),
        *content,
        *(_reach(have.id, final, binding) if _differs(final, before) else ()),
    ]
    if writes:
        assert have.etag, "a record without a version is not planned"
        if writes[0].method != "PATCH" or writes[0].path != path:
            same = {binding.touched.name: have.values[binding.touched.name]}
            writes.insert(0, Operation("PATCH", path, same))
        writes[0] = replace(writes[0], headers={"If-Match": have.etag})
    return ChangeSet((*writes, *_grant(have.id, share, binding)))


def _lines(changes: Iterable[LineChange], have: Current, binding: Binding) -> Iterator[Operation]:
    if binding.lines is None:
        return
    lines = binding.lines
    for number, line in enumerate(changes):
        if line.action == "delete":
            assert line.id is not None
            yield Operation("DELETE", _path(lines, line.id), headers=_EXISTING, line=line.key)
        elif line.action == "update":
            assert line.id is not None
            yield from _patch(_path(lines, line.id), _after(line.changes), lines.fields, line.key)
        else:
            line_id = derived_id(_NAMESPACE, f"{have.id}/{have.etag}/{number}")
            values = _after(line.changes)
            yield _insert_line(line_id, line.key, values, _path(binding, have.id), binding, lines)
            yield from _completion(_path(lines, line_id), values, lines, line.key)


def _insert_line(
    line_id: str, key: LineKey, values: Mapping[str, Value], parent: str, binding: Binding, lines: Binding
) -> Operation:
    """A line as a row of its own, bound to its record."""
    body = {
        lines.table.id_column: line_id,
        f"{binding.parent_navigation}@odata.bind": f"/{parent}",
        **_creation(values, lines),
    }
    return Operation("POST", lines.table.entity_set, body, line=key)


def _path(binding: Binding, id_: str) -> str:
    return f"{binding.table.entity_set}({id_})"


def _after(changes: Iterable[Change]) -> dict[str, Value]:
    return {change.column: change.after for change in changes}


def _creation(values: Mapping[str, Value], binding: Binding) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for name, sent_name, opening in binding.creation:
        value = values.get(name)
        if value is not None:
            body[sent_name] = f"{opening}{value})" if opening else value
    return body


def _completion(path: str, values: Mapping[str, Value], binding: Binding, line: LineKey = ()) -> list[Operation]:
    """The columns that a new row can only get by an update. Nothing has to be cleared."""
    set_ = {field.name: value for field in binding.update_only if (value := values.get(field.name)) is not None}
    return _patch(path, set_, binding.update_only, line) if set_ else []


def _patch(path: str, values: Mapping[str, Value], fields: Iterable[Field], line: LineKey = ()) -> list[Operation]:
    """Updates of one row: a PATCH of its values, and a DELETE for each look-up that is cleared."""
    body: dict[str, Any] = {}
    cleared = []
    for field in fields:
        if field.name not in values:
            continue
        value = values[field.name]
        if value is None and field.navigation:
            cleared.append(Operation("DELETE", f"{path}/{field.navigation}/$ref", line=line))
        else:
            body[field.sent_name] = _sent(field, value)
    return [*([Operation("PATCH", path, body, _EXISTING, line)] if body else []), *cleared]


def _sent(field: Field, value: Value) -> Value:
    return f"{field.opening}{value})" if field.opening else value


def _set_state(path: str, state: Mapping[str, int]) -> Operation:
    return Operation("PATCH", path, dict(state), _EXISTING)


def _differs(state: Mapping[str, int], before: Mapping[str, int]) -> bool:
    return any(before.get(column) != value for column, value in state.items())


def _reach(id_: str, state: Mapping[str, int], binding: Binding, subject: str = "") -> list[Operation]:
    """The write that brings a record into a state: an update, or the action that meta.crm has for it."""
    path = _path(binding, id_)
    states = binding.model.meta.state
    action = states.actions.get(state.get(binding.state_column, -1)) if states else None
    if action is None:
        return [_set_state(path, state)]
    closing = {
        "@odata.type": f"Microsoft.Dynamics.CRM.{action.type}",
        f"{action.bind}@odata.bind": f"/{path}",
        "subject": subject or f"Closed by {action.name}",
    }
    status = next((value for column, value in state.items() if column != binding.state_column), -1)
    return [Operation("POST", action.name, {action.parameter: closing, "Status": status})]


def cancellation(have: Current, binding: Binding, subject: str) -> ChangeSet:
    """Brings a record into the state that meta.crm calls cancelled, if CRM has not touched it since it was read."""
    states = binding.model.meta.state
    assert states is not None
    path = _path(binding, have.id)
    first = {binding.touched.name: have.values[binding.touched.name]}
    if have.state.get(binding.state_column) in binding.locked_states:
        first = dict(binding.editable_state)
    return ChangeSet(
        (
            Operation("PATCH", path, first, {"If-Match": have.etag}),
            *_reach(have.id, states.cancelled, binding, subject),
        )
    )


def _grant(id_: str, share: Share | None, binding: Binding) -> list[Operation]:
    """Grants access to the owner of the account. Repeating it changes nothing (docs/dataverse.md, "Sharing")."""
    rights = binding.model.meta.share_with
    if share is None or rights is None:
        return []
    table, principal = share
    return [
        Operation(
            "POST",
            SHARE,
            {
                "Target": {
                    binding.table.id_column: id_,
                    "@odata.type": f"Microsoft.Dynamics.CRM.{binding.table.name}",
                },
                "PrincipalAccess": {
                    "AccessMask": ",".join(rights.rights),
                    "Principal": {f"{table}id": principal, "@odata.type": f"Microsoft.Dynamics.CRM.{table}"},
                },
            },
        )
    ]
