"""Compares a desired record with the current one: which columns and lines differ. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from loader.contract import Model
from loader.sync.binding import Binding, Field
from loader.sync.canonical import Value
from loader.sync.records import Current, Desired, line_key

LineAction = Literal["create", "update", "delete"]

_ROW = ("table", "line", "action")
"""What the changes of one row have in common."""


class Change(NamedTuple):
    """One column: CRM's value and the new value."""

    column: str
    before: Value
    after: Value


@dataclass(frozen=True)
class LineChange:
    """One line to write. `id` is None if CRM does not have the line yet."""

    action: LineAction
    key: tuple[Value, ...]
    id: str | None
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Difference:
    """All that a record in CRM lacks to be as desired."""

    header: tuple[Change, ...]
    state: tuple[Change, ...]
    lines: tuple[LineChange, ...]

    def __bool__(self) -> bool:
        return bool(self.header or self.state or self.lines)


def difference(want: Desired, have: Current, binding: Binding) -> Difference:
    """What to write so that CRM has `want`; nothing if it already has."""
    return Difference(
        header=changes(want.values, have.values, binding.fields),
        state=state_changes(want.state, have.state),
        lines=tuple(_line_changes(want, have, binding)),
    )


def created(values: Mapping[str, Value]) -> tuple[Change, ...]:
    """A new row as a list of changes from null."""
    return tuple(Change(column, None, value) for column, value in values.items() if value is not None)


def changes(want: Mapping[str, Value], have: Mapping[str, Value], fields: Iterable[Field]) -> tuple[Change, ...]:
    """The columns that differ and that CRM allows to be updated."""
    if want == have:
        return ()
    return tuple(
        Change(field.name, have.get(field.name), want[field.name])
        for field in fields
        if field.name in want
        and want[field.name] != have.get(field.name)
        and field.on_update
        and not field.type.same(want[field.name], have.get(field.name))
    )


def state_changes(want: Mapping[str, int], have: Mapping[str, int]) -> tuple[Change, ...]:
    return tuple(Change(column, have.get(column), value) for column, value in want.items() if have.get(column) != value)


def _line_changes(want: Desired, have: Current, binding: Binding) -> Iterable[LineChange]:
    """The fewest writes that leave exactly the desired lines (`refresh: merge`, docs/contract.md).

    If columns that can only be created differ (a product line becomes a write-in line, or the reverse), the line is
    deleted and inserted. Of doubled lines, the one that needs the fewest changes stays. If lines are never deleted,
    lines that are not desired stay, too. A line that CRM creates by itself is not written.
    """
    children = binding.model.meta.children
    if binding.lines is None or children is None:
        return
    model, fields = binding.model, binding.lines.fields
    fixed = [f for f in fields if f.on_create and not f.on_update and not f.only_at_create] if children.delete else []
    existing: dict[tuple[Value, ...], list[Current]] = {}
    for held in have.lines:
        existing.setdefault(line_key(held.values, model), []).append(held)

    inserts = []
    for line in want.lines:
        key = line_key(line.values, model)
        if line.is_made:
            existing.pop(key, None)
            continue
        fitting = [
            each
            for each in existing.get(key, ())
            if all(f.type.same(line.values.get(f.name), each.values[f.name]) for f in fixed)
        ]
        if not fitting:
            inserts.append(LineChange("create", key, None, created(line.values)))
            continue
        edits, kept = min(
            ((changes(line.values, each.values, fields), each) for each in fitting), key=lambda x: (len(x[0]), x[1].id)
        )
        existing[key].remove(kept)
        if edits:
            yield LineChange("update", key, kept.id, edits)

    if children.delete:
        yield from _deletes([stale for lines in existing.values() for stale in lines], model)
    yield from inserts


def _deletes(lines: Iterable[Current], model: Model) -> list[LineChange]:
    """By key, because CRM gives lines in any order."""
    deletes = [
        LineChange(
            "delete",
            line_key(line.values, model),
            line.id,
            tuple(Change(column, value, None) for column, value in line.values.items() if value is not None),
        )
        for line in lines
    ]
    return sorted(deletes, key=lambda each: ([(part is not None, part) for part in each.key], each.id))


def replaced(want: Desired, have: Current, binding: Binding) -> tuple[LineChange, ...]:
    """Deletes every line and inserts all of them (`refresh: replace`, docs/contract.md)."""
    inserts = tuple(
        LineChange("create", line_key(line.values, binding.model), None, created(line.values)) for line in want.lines
    )
    return (*_deletes(have.lines, binding.model), *inserts)


def by_row(changes: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """Changes as a plan's JSON lists them, put together row by row. A column comes once per row."""
    row: list[Mapping[str, Any]] = []
    columns: set[str] = set()
    for change in changes:
        if row and (change["column"] in columns or any(change[name] != row[0][name] for name in _ROW)):
            yield row
            row, columns = [], set()
        row.append(change)
        columns.add(change["column"])
    if row:
        yield row
