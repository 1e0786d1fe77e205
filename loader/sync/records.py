"""One order in the two forms that are compared: as GP wants it, and as CRM holds it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from loader.contract import Model, Xref
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
    notes = _Notes(binding.model)
    header = _desired_row(staged.row, binding, index, notes)
    lines = []
    for notes.line in staged.lines:
        lines.append(_desired_row(notes.line, binding.lines, index, notes))
    if notes.obstacles:
        return None, tuple(notes.obstacles), tuple(notes.warnings)
    record = Desired(header.values, header.state, tuple(lines), _owner(staged.row, binding.owner, index))
    return record, (), tuple(notes.warnings)


def current(row: Row, binding: Binding) -> Current:
    """CRM's JSON of an order, with its lines expanded, in canonical form."""
    lines: tuple[Current, ...] = ()
    if binding.lines:
        lines = tuple(current(line, binding.lines) for line in row.get(binding.lines_navigation) or ())
    return Current(
        id=row[binding.table.id_column],
        etag=row.get("@odata.etag", ""),
        values={field.name: field.held(row.get(field.wire_name)) for field in binding.fields},
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
    """What keeps an order back, or is lost on the way; `line` is the line that is being looked at, if any."""

    def __init__(self, model: Model) -> None:
        self.obstacles: list[Obstacle] = []
        self.warnings: list[Warning] = []
        self.line: Row | None = None
        self._model = model

    def block(self, code: str, message: str, table: str = "", match: Mapping[str, str] | None = None) -> None:
        self.obstacles.append(Obstacle(code, self._where + message, table, match or {}))

    def warn(self, code: str, column: str, message: str) -> None:
        self.warnings.append(Warning(code, self._where + column, message))

    @property
    def _where(self) -> str:
        children = self._model.meta.children
        if self.line is None or children is None:
            return ""
        return f"line {', '.join(str(self.line[column]) for column in children.match_on)}: "


def _desired_row(row: Row, binding: Binding | None, index: Index, notes: _Notes) -> Desired:
    assert binding is not None
    state = _values(row, binding.state_fields, index, notes)
    return Desired(
        _values(row, binding.fields, index, notes),
        {name: int(str(value)) for name, value in state.items() if value is not None},
    )


def _values(row: Row, fields: Iterable[Field], index: Index, notes: _Notes) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for field_ in fields:
        name = field_.name
        staged = row[name]
        if staged is None:
            if field_.xref is None or not _is_unmapped(field_.xref, name, row, notes):
                values[name] = None
        elif field_.lookup is not None:
            _put_lookup(values, field_, row, index, notes)
        else:
            try:
                stored = values[name] = field_.stored(staged)
            except ValueOutOfRange as error:
                notes.block("value_out_of_range", f"{name}: {error}")
                continue
            if stored != staged and (shortened := field_.type.shortened(staged)):
                notes.warn("value_truncated", name, shortened)
    return values


def _is_unmapped(xref: Xref, name: str, row: Row, notes: _Notes) -> bool:
    code = row[xref.code]
    if code is None:
        return False
    message = f"GP's code {str(code).rstrip()!r} has no translation in the seed"
    if xref.unmapped == "block":
        notes.block(f"{xref.called}_unmapped", f"{name}: {message}")
    else:
        notes.warn(f"{xref.called}_unmapped", name, f"{name}: {message}")
    return True


def _put_lookup(values: dict[str, Value], field_: Field, row: Row, index: Index, notes: _Notes) -> None:
    lookup, key = field_.lookup, field_.lookup_key
    assert lookup is not None
    assert key is not None
    wanted = [row[staged] for staged in lookup.match.values()]
    outcome = index.find(key, wanted)
    if isinstance(outcome, Found):
        values[field_.name] = outcome.id.lower()
        return
    match = {path: str(value).rstrip() for path, value in zip(lookup.match, wanted, strict=True) if value is not None}
    words = " and ".join(f"{path} {value!r}" for path, value in match.items())
    if isinstance(outcome, Missing):
        code, policy, text = f"{lookup.called}_not_found", lookup.missing, f"CRM has no {lookup.table} with {words}"
    else:
        code, policy = f"{lookup.called}_ambiguous", lookup.ambiguous
        text = f"CRM has {outcome.count} rows of {lookup.table} with {words}"
    if policy == "block":
        notes.block(code, text, lookup.table, match)
    else:
        notes.warn(code, field_.name, f"{text}; left as it is")


def _owner(row: Row, field_: Field | None, index: Index) -> tuple[str, str] | None:
    if field_ is None or field_.lookup is None or field_.lookup_key is None:
        return None
    found = index.find(field_.lookup_key, [row[staged] for staged in field_.lookup.match.values()])
    return found.owner if isinstance(found, Found) else None
