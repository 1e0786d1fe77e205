"""One order in the two forms that are compared: as GP wants it, and as CRM holds it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from loader.contract import Column, Model
from loader.sync.binding import CURRENCY, Binding, Field
from loader.sync.canonical import Value, ValueOutOfRange
from loader.sync.lookups import Found, Index, Missing

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Warning:
    """The order goes, but not exactly as staged."""

    code: str
    column: str
    message: str


@dataclass(frozen=True)
class Obstacle:
    """Why an order cannot go. `table` and `match` name the missing or ambiguous CRM row."""

    code: str
    message: str
    table: str = ""
    match: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Staged:
    """One order's rows out of the warehouse."""

    key: str
    row: Row
    lines: Sequence[Row] = ()


@dataclass(frozen=True)
class Desired:
    """One row as CRM should hold it. A column that is to be left as it is in CRM is absent from `values`."""

    values: Mapping[str, Value]
    state: Mapping[str, int]
    lines: tuple[Desired, ...] = ()
    owner: tuple[str, str] | None = None
    """(table, id) of the owner to share with."""


@dataclass(frozen=True)
class Current:
    """One row as CRM holds it."""

    id: str
    etag: str
    values: Mapping[str, Value]
    state: Mapping[str, int]
    lines: tuple[Current, ...] = ()


def desired(
    staged: Staged, binding: Binding, index: Index
) -> tuple[Desired | None, tuple[Obstacle, ...], tuple[Warning, ...]]:
    """What CRM should hold for a staged order, or the obstacles that keep it back; warnings either way."""
    notes = _Notes()
    header = _desired_row(staged.row, binding, index, notes, "")
    lines = tuple(_desired_row(line, binding.lines, index, notes, _line_name(line, binding)) for line in staged.lines)
    if notes.obstacles:
        return None, tuple(notes.obstacles), tuple(notes.warnings)
    record = Desired(header.values, header.state, lines, _owner(staged.row, binding.model, index))
    return record, (), tuple(notes.warnings)


def current(row: Row, binding: Binding) -> Current:
    """CRM's JSON of an order, with its lines expanded, in canonical form."""
    lines: tuple[Current, ...] = ()
    if binding.lines:
        lines = tuple(current(line, binding.lines) for line in row.get(binding.lines_navigation) or ())
    return Current(
        id=row[binding.table.id_column],
        etag=row.get("@odata.etag", ""),
        values={field.name: field.type.read(row.get(field.wire_name)) for field in binding.fields},
        state={field.name: int(row[field.name]) for field in binding.state_fields if row.get(field.name) is not None},
        lines=lines,
    )


def currency_of(row: Row) -> str | None:
    return row.get(f"_{CURRENCY}_value")


def line_key(values: Mapping[str, Value], model: Model) -> tuple[Value, ...]:
    """What makes a line the same line in GP and in CRM."""
    assert model.meta.children is not None
    return tuple(values.get(column) for column in model.meta.children.match_on)


class _Notes:
    def __init__(self) -> None:
        self.obstacles: list[Obstacle] = []
        self.warnings: list[Warning] = []


def _desired_row(row: Row, binding: Binding | None, index: Index, notes: _Notes, where: str) -> Desired:
    assert binding is not None
    values: dict[str, Value] = {}
    for field_ in binding.fields:
        _put(values, field_, row, index, notes, where)
    state: dict[str, Value] = {}
    for field_ in binding.state_fields:
        _put(state, field_, row, index, notes, where)
    return Desired(values, {name: int(str(value)) for name, value in state.items() if value is not None})


def _put(values: dict[str, Value], field_: Field, row: Row, index: Index, notes: _Notes, where: str) -> None:
    column, staged = field_.column, row[field_.name]
    if staged is None:
        if not _is_unmapped(column, row, notes, where):
            values[column.name] = None
        return
    if column.meta.lookup:
        _put_lookup(values, column, row, index, notes, where)
        return
    shortened = field_.type.shortened(staged)
    if shortened:
        notes.warnings.append(Warning("value_truncated", where + column.name, shortened))
    try:
        values[column.name] = field_.type.canonical(staged)
    except ValueOutOfRange as error:
        notes.obstacles.append(Obstacle("value_out_of_range", f"{where}{column.name}: {error}"))


def _is_unmapped(column: Column, row: Row, notes: _Notes, where: str) -> bool:
    xref = column.meta.xref
    code = row[xref.code] if xref else None
    if xref is None or code is None:
        return False
    message = f"{where}{column.name}: GP's code {str(code).rstrip()!r} has no translation in the seed"
    if xref.unmapped == "block":
        notes.obstacles.append(Obstacle(f"{xref.called}_unmapped", message))
    else:
        notes.warnings.append(Warning(f"{xref.called}_unmapped", where + column.name, message))
    return True


def _put_lookup(values: dict[str, Value], column: Column, row: Row, index: Index, notes: _Notes, where: str) -> None:
    lookup = column.meta.lookup
    assert lookup is not None
    wanted = {path: row[staged] for path, staged in lookup.match.items()}
    outcome = index.find(lookup, [value if value is not None else "" for value in wanted.values()])
    if isinstance(outcome, Found):
        values[column.name] = outcome.id.lower()
        return
    match = {path: str(value).rstrip() for path, value in wanted.items() if value is not None}
    words = " and ".join(f"{path} {value!r}" for path, value in match.items())
    if isinstance(outcome, Missing):
        code, policy, text = f"{lookup.called}_not_found", lookup.missing, f"CRM has no {lookup.table} with {words}"
    else:
        code, policy = f"{lookup.called}_ambiguous", lookup.ambiguous
        text = f"CRM has {outcome.count} rows of {lookup.table} with {words}"
    if policy == "block":
        notes.obstacles.append(Obstacle(code, where + text, lookup.table, match))
    else:
        notes.warnings.append(Warning(code, where + column.name, f"{text}; left as it is"))


def _line_name(line: Row, binding: Binding) -> str:
    children = binding.model.meta.children
    assert children is not None
    return f"line {', '.join(str(line[column]) for column in children.match_on)}: "


def _owner(row: Row, model: Model, index: Index) -> tuple[str, str] | None:
    share = model.meta.share_with
    if share is None:
        return None
    lookup = model.column(share.owner_of).meta.lookup
    assert lookup is not None
    found = index.find(lookup, [row[staged] for staged in lookup.match.values()])
    return found.owner if isinstance(found, Found) else None
