"""One order in the two forms that are compared: as GP wants it, and as CRM holds it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from operator import itemgetter
from typing import Any, NamedTuple, TypeAlias

from loader.contract import Lookup, Model
from loader.sync.binding import CURRENCY, Binding, Field
from loader.sync.canonical import Value, ValueOutOfRange
from loader.sync.lookups import Found, Index, LookupKey, Missing

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


Note: TypeAlias = "Obstacle | Warning"


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
    key: tuple[Value, ...] = ()
    """Of a line: what makes it the same line in GP and in CRM."""


@dataclass(frozen=True)
class Current:
    """One row as CRM holds it."""

    id: str
    etag: str
    values: Mapping[str, Value]
    state: Mapping[str, int]
    lines: tuple[Current, ...] = ()


class Wanted(NamedTuple):
    """What an order is to be in CRM, or the obstacles that keep it back; warnings either way."""

    record: Desired | None
    obstacles: tuple[Obstacle, ...]
    warnings: tuple[Warning, ...]


def desired(staged: Staged, binding: Binding, index: Index) -> Wanted:
    """What CRM should hold for one staged order."""
    return desired_orders([staged], binding, index)[0]


def desired_orders(orders: Sequence[Staged], binding: Binding, index: Index) -> list[Wanted]:
    """What CRM should hold for each of these orders: worked out column by column, each distinct value once."""
    notes: list[list[Note]] = [[] for _ in orders]
    headers, troubles = _desired_rows([order.row for order in orders], binding, index)
    for number, note in troubles:
        notes[number].append(note)
    lines: Iterator[Desired] = iter(())
    if binding.lines:
        staged_lines = [(number, line) for number, order in enumerate(orders) for line in order.lines]
        desired_lines, troubles = _desired_rows([line for _, line in staged_lines], binding.lines, index)
        lines = (replace(line, key=line_key(line.values, binding.model)) for line in desired_lines)
        for row_number, note in troubles:
            number, line = staged_lines[row_number]
            notes[number].append(_about_line(note, line, binding.model))
    return [
        _wanted(header, tuple(islice(lines, len(order.lines))), _owner(order.row, binding.owner, index), found)
        for order, header, found in zip(orders, headers, notes, strict=True)
    ]


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


def _wanted(
    header: Desired, lines: tuple[Desired, ...], owner: tuple[str, str] | None, notes: Sequence[Note]
) -> Wanted:
    obstacles = tuple(note for note in notes if isinstance(note, Obstacle))
    warnings = tuple(note for note in notes if isinstance(note, Warning))
    record = None if obstacles else replace(header, lines=lines, owner=owner)
    return Wanted(record, obstacles, warnings)


def _about_line(note: Note, line: Row, model: Model) -> Note:
    assert model.meta.children is not None
    where = f"line {', '.join(str(line[column]) for column in model.meta.children.match_on)}: "
    if isinstance(note, Obstacle):
        return replace(note, message=where + note.message)
    return replace(note, column=where + note.column)


def _desired_rows(rows: Sequence[Row], binding: Binding, index: Index) -> tuple[list[Desired], list[tuple[int, Note]]]:
    """The rows as CRM should hold them, and by row number what is wrong with them, in the order of the rows."""
    values, troubles = _stored_rows(rows, binding.fields, index)
    states, more = _stored_rows(rows, binding.state_fields, index)
    numbers = [{name: int(str(value)) for name, value in state.items() if value is not None} for state in states]
    return list(map(Desired, values, numbers)), sorted(troubles + more, key=itemgetter(0))


@dataclass(frozen=True)
class _Trouble:
    """A staged value that CRM will not hold as it is: what it gets instead, if anything, and what to say about it."""

    note: Note
    stored: Value = None
    is_left: bool = True
    """The column stays as it is in CRM."""


def _stored_rows(
    rows: Sequence[Row], fields: Sequence[Field], index: Index
) -> tuple[list[dict[str, Value]], list[tuple[int, Note]]]:
    columns: list[list[Value]] = []
    left: list[tuple[int, str]] = []
    troubles: list[tuple[int, Note]] = []
    for field_ in fields:
        staged = list(zip(*([row[name] for row in rows] for name in field_.decided_by), strict=True))
        answers = {each: _stored(field_, each, index) for each in set(staged)}
        column: list[Any] = [answers[each] for each in staged]
        if any(isinstance(answer, _Trouble) for answer in answers.values()):
            for number, answer in enumerate(column):
                if isinstance(answer, _Trouble):
                    column[number] = answer.stored
                    troubles.append((number, answer.note))
                    left += [(number, field_.name)] if answer.is_left else []
        columns.append(column)
    names = [field_.name for field_ in fields]
    stored = [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)] or [{} for _ in rows]
    for number, name in left:
        del stored[number][name]
    return stored, troubles


def _stored(field_: Field, staged: tuple[Any, ...], index: Index) -> Value | _Trouble:
    """One value as CRM would store it. `staged` are the values of the columns that decide it, its own first."""
    value = staged[0]
    if value is None:
        return _unmapped(field_, staged[1]) if field_.xref and staged[1] is not None else None
    if field_.lookup is not None:
        return _looked_up(field_, field_.lookup, staged[1:], index)
    try:
        stored = field_.type.canonical(value)
    except ValueOutOfRange as error:
        return _Trouble(Obstacle("value_out_of_range", f"{field_.name}: {error}"))
    shortened = field_.type.shortened(value)
    if shortened:
        return _Trouble(Warning("value_truncated", field_.name, shortened), stored, is_left=False)
    return stored


def _unmapped(field_: Field, code: object) -> _Trouble:
    assert field_.xref is not None
    reason = f"{field_.xref.called}_unmapped"
    message = f"{field_.name}: GP's code {str(code).rstrip()!r} has no translation in the seed"
    if field_.xref.unmapped == "block":
        return _Trouble(Obstacle(reason, message))
    return _Trouble(Warning(reason, field_.name, message))


def _looked_up(field_: Field, lookup: Lookup, wanted: Sequence[object], index: Index) -> Value | _Trouble:
    outcome = index.find(LookupKey.of(lookup), wanted)
    if isinstance(outcome, Found):
        return outcome.id.lower()
    match = {path: str(value).rstrip() for path, value in zip(lookup.match, wanted, strict=True) if value is not None}
    words = " and ".join(f"{path} {value!r}" for path, value in match.items())
    if isinstance(outcome, Missing):
        code, policy, text = f"{lookup.called}_not_found", lookup.missing, f"CRM has no {lookup.table} with {words}"
    else:
        code, policy = f"{lookup.called}_ambiguous", lookup.ambiguous
        text = f"CRM has {outcome.count} rows of {lookup.table} with {words}"
    if policy == "block":
        return _Trouble(Obstacle(code, text, lookup.table, match))
    return _Trouble(Warning(code, field_.name, f"{text}; left as it is"))


def _owner(row: Row, field_: Field | None, index: Index) -> tuple[str, str] | None:
    if field_ is None or field_.lookup is None:
        return None
    found = index.find(LookupKey.of(field_.lookup), [row[staged] for staged in field_.lookup.match.values()])
    return found.owner if isinstance(found, Found) else None
