"""One record in the two forms that are compared: as GP wants it, and as CRM has it. Pure.

What may be wrong with a record is an Obstacle, which blocks it, or a RecordWarning, with which it is still pushed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import islice
from operator import itemgetter
from typing import Any, TypeAlias

from loader.contract import CURRENCY, Lookup, Model, OnMissing, Xref
from loader.dataverse.replies import unexpected
from loader.sync.binding import Agreement, Binding, Field
from loader.sync.canonical import DateOutOfRange, Value, ValueOutOfRange
from loader.sync.lookups import Found, Index, Missing, Refused, Step

Row = Mapping[str, Any]


@dataclass(frozen=True)
class RecordWarning:
    """The record is pushed, but not exactly as staged."""

    code: str
    column: str
    message: str
    line: tuple[Value, ...] | None = None
    """The key of the line that the warning is about; None if it is about the record itself."""


@dataclass(frozen=True)
class Obstacle:
    """Why a record cannot go. `table` and `match` name the missing or ambiguous CRM row."""

    code: str
    message: str
    table: str = ""
    match: Mapping[str, str] = field(default_factory=dict)
    column: str = ""
    """The record's own column that it is about; blank where it is about another thing, or about a line."""


Note: TypeAlias = "Obstacle | RecordWarning"


@dataclass(frozen=True)
class Staged:
    """One record's rows from the warehouse."""

    key: str
    row: Row
    lines: Sequence[Row] = ()
    digest: str = ""
    """Of all that is staged of it; blank where nobody asked."""


@dataclass(frozen=True)
class Desired:
    """One row as it should be in CRM. A column that is to stay as it is in CRM is absent from `values`."""

    values: Mapping[str, Value]
    state: Mapping[str, int]
    lines: tuple[Desired, ...] = ()
    key: tuple[Value, ...] = ()
    """For a line: the key by which GP's line and CRM's are the same."""
    is_made: bool = False
    """Of a line: CRM makes it by itself, together with the record."""


@dataclass(frozen=True)
class Current:
    """One row as it is in CRM."""

    id: str
    etag: str
    values: Mapping[str, Value]
    state: Mapping[str, int]
    lines: tuple[Current, ...] = ()


class Wanted:
    """What one record should be in CRM, with its obstacles and warnings."""

    def __init__(
        self, notes: Sequence[Note], owner: tuple[str, str] | None, line_count: int, record: Callable[[], Desired]
    ) -> None:
        self.obstacles = tuple([note for note in notes if isinstance(note, Obstacle)])
        self.warnings = tuple([note for note in notes if isinstance(note, RecordWarning)])
        self._record = record
        self.owner = owner
        """(table, id) of the owner to share with."""
        self.line_count = line_count
        """Lines that the loader writes."""

    @property
    def record(self) -> Desired:
        """Its content, where nothing stands in its way; made on demand, because a plan shows only some records."""
        return self._record()


def desired(
    staged: Staged, binding: Binding, index: Index
) -> tuple[Desired | None, tuple[Obstacle, ...], tuple[RecordWarning, ...]]:
    """What CRM should have for one staged record, or the obstacles that block it; and its warnings."""
    (wanted,) = desired_records([staged], binding, index)
    return None if wanted.obstacles else wanted.record, wanted.obstacles, wanted.warnings


def desired_records(staged: Sequence[Staged], binding: Binding, index: Index) -> list[Wanted]:
    """What CRM should have for each of these records."""
    headers = [each.row for each in staged]
    lines = [line for each in staged for line in each.lines]
    values, states = Columns(headers, binding.fields, index), Columns(headers, binding.state_fields, index)
    line_values = Columns(lines, binding.lines.fields if binding.lines else (), index)

    notes: list[list[Note]] = [[] for _ in staged]
    for number, note in values.notes + states.notes:
        notes[number].append(note)
    records_of_lines = [number for number, each in enumerate(staged) for _ in each.lines]
    for number, note in line_values.notes:
        notes[records_of_lines[number]].append(_about_line(note, lines[number], binding.model))

    children = binding.model.meta.children
    made = children.made_by_parent if children else None

    @cache
    def records() -> list[Desired]:
        own_lines = (
            Desired(row, {}, key=line_key(row, binding.model), is_made=bool(made and line[made.column]))
            for row, line in zip(line_values.rows(), lines, strict=True)
        )
        return [
            Desired(
                row,
                {name: int(str(value)) for name, value in state.items() if value is not None},
                tuple(islice(own_lines, len(each.lines))),
            )
            for row, state, each in zip(values.rows(), states.rows(), staged, strict=True)
        ]

    def record(number: int) -> Desired:
        return records()[number]

    return [
        Wanted(
            notes[number],
            _owner(each.row, binding.owner, index),
            len(each.lines) - _made(each, binding.model),
            partial(record, number),
        )
        for number, each in enumerate(staged)
    ]


def _made(staged: Staged, model: Model) -> int:
    """How many of the lines CRM makes by itself."""
    children = model.meta.children
    if children is None or children.made_by_parent is None:
        return 0
    return sum(bool(line[children.made_by_parent.column]) for line in staged.lines)


def current(row: Row, binding: Binding) -> Current:
    """CRM's JSON of a record, with its lines expanded, in canonical form."""
    lines: tuple[Current, ...] = ()
    if binding.lines:
        lines = tuple(current(line, binding.lines) for line in row.get(binding.lines_navigation) or ())
    return Current(
        id=row[binding.table.id_column],
        etag=row.get("@odata.etag", ""),
        values={field.name: _read(field, row[field.wire_name]) for field in binding.fields},
        state={field.name: row[field.name] for field in binding.state_fields if row[field.name] is not None},
        lines=lines,
    )


def _read(field_: Field, value: object) -> Value:
    try:
        return field_.type.read(value)
    except (ValueError, ArithmeticError):
        raise unexpected(field_.name, value, f"a {field_.type.name}") from None


def currency_of(row: Row) -> str | None:
    return row.get(f"_{CURRENCY}_value")


def line_key(values: Mapping[str, Value], model: Model) -> tuple[Value, ...]:
    """The key by which GP's line and CRM's are the same."""
    assert model.meta.children is not None
    return tuple([values.get(column) for column in model.meta.children.match_on])


def line_value(key: Sequence[Value] | None) -> Value | list[Value]:
    """A line's key in JSON: the value of the column that identifies it, or a list if there are several."""
    if key is None:
        return None
    return key[0] if len(key) == 1 else list(key)


def line_words(key: Sequence[Value], lines: Sequence[Row], model: Model) -> str:
    """A line in words: its key and, if GP has the line, in brackets what people know it by."""
    children = model.meta.children
    assert children is not None
    row = next((line for line in lines if [line[column] for column in children.match_on] == list(key)), {})
    name = next((str(row[column]).rstrip() for column in children.named_by if row.get(column) is not None), "")
    return f"{_shown_key(key)} ({name})" if name else _shown_key(key)


def _shown_key(key: Sequence[object]) -> str:
    return ", ".join(map(str, key))


def _about_line(note: Note, line: Row, model: Model) -> Note:
    key = line_key(line, model)
    if isinstance(note, Obstacle):
        return replace(note, message=f"line {_shown_key(key)}: {note.message}", column="")
    return replace(note, line=key)


@dataclass(frozen=True)
class _Deviation:
    """The result for a staged value that CRM cannot store as it is: what is stored instead, and why."""

    notes: tuple[Note, ...]
    stored: Value = None
    is_left: bool = True
    """Whether the column stays as it is in CRM."""


class Columns:
    """Staged rows as they should be in CRM. Each distinct value of a column is converted only once."""

    def __init__(self, rows: Sequence[Row], fields: Sequence[Field], index: Index) -> None:
        self._size = len(rows)
        self._columns = []
        notes: list[tuple[int, Note]] = []
        for field_ in fields:
            staged, stored = _column(field_, rows, index)
            self._columns.append((field_.name, staged, stored))
            deviating = {each: answer.notes for each, answer in stored.items() if isinstance(answer, _Deviation)}
            if deviating:
                notes += [(number, note) for number, each in enumerate(staged) for note in deviating.get(each, ())]
        self.notes = sorted(notes, key=itemgetter(0))
        """Obstacles and warnings with their row numbers, in the order of the rows."""

    def rows(self) -> list[dict[str, Value]]:
        """The values of each row, without the columns that are to stay as they are in CRM."""
        names = [name for name, _, _ in self._columns]
        columns = [[stored[each] for each in staged] for _, staged, stored in self._columns]
        rows = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
        for number in {number for number, _ in self.notes}:
            rows[number] = {
                name: value.stored if isinstance(value, _Deviation) else value
                for name, value in rows[number].items()
                if not (isinstance(value, _Deviation) and value.is_left)
            }
        return rows or [{} for _ in range(self._size)]


def _column(field_: Field, rows: Sequence[Row], index: Index) -> tuple[Sequence[Any], Mapping[Any, Value | _Deviation]]:
    """For each row, what its value depends on; and for each of these, what is stored."""
    if field_.lookup:
        wanted = list(zip(*(map(itemgetter(name), rows) for name in field_.decided_by), strict=True))
        answers, distinct = index.answers.setdefault(field_, {}), set(wanted)
        answers.update({each: _looked_up(field_, field_.lookup, each, index) for each in distinct.difference(answers)})
        return wanted, {each: answers[each] for each in distinct}
    staged = list(map(itemgetter(field_.name), rows))
    if field_.xref:
        translated = list(zip(staged, map(itemgetter(field_.xref.code), rows), strict=True))
        return translated, {each: _translated(field_, field_.xref, *each) for each in set(translated)}
    return staged, {each: None if each is None else _stored(field_, each) for each in set(staged)}


def _stored(field_: Field, staged: object) -> Value | _Deviation:
    try:
        stored = field_.type.canonical(staged)
    except DateOutOfRange as error:
        return _Deviation(
            (RecordWarning("date_out_of_range", field_.name, f"{error}; left empty"),), None, is_left=False
        )
    except ValueOutOfRange as error:
        return _Deviation((Obstacle("value_out_of_range", f"{field_.name}: {error}", column=field_.name),))
    if stored != staged:
        notes: list[Note] = []
        if replaced := field_.type.replaced(staged):
            notes.append(RecordWarning("value_cleaned", field_.name, replaced))
        if shortened := field_.type.shortened(staged):
            notes.append(RecordWarning("value_truncated", field_.name, shortened))
        if notes:
            return _Deviation(tuple(notes), stored, is_left=False)
    return stored


def _translated(field_: Field, xref: Xref, staged: object, code: object) -> Value | _Deviation:
    if staged is not None:
        return _stored(field_, staged)
    if code is None:
        return None
    message = f"{field_.name}: GP's code {str(code).rstrip()!r} has no translation in the seed"
    if xref.unmapped == "block":
        return _Deviation((Obstacle(f"{xref.called}_unmapped", message, column=field_.name),))
    return _Deviation((RecordWarning(f"{xref.called}_unmapped", field_.name, message),))


def _looked_up(field_: Field, lookup: Lookup, staged: Sequence[object], index: Index) -> Value | _Deviation:
    row = dict(zip(field_.decided_by, staged, strict=True))
    own = row[field_.name]
    if own is None and (lookup.required_unless is None or row[lookup.required_unless]):
        return None
    sought = [row[column] for column in lookup.match.values()]
    match = {path: str(value).rstrip() for path, value in zip(lookup.match, sought, strict=True) if value is not None}
    if own is None:
        text = f"{field_.name} is blank; CRM needs one"
        return _refused(field_, "not_found", lookup.missing, text, {path: match.get(path, "") for path in lookup.match})
    for column, why in lookup.blank.items():
        if row[column] is None:
            whose = (each.other for each in field_.agreements if each.other)
            of = [f" of {other.called} {_key(other, row)}" for other in whose]
            text = f"{field_.name} {_key(lookup, row)}{''.join(of)}: {why}"
            return _refused(field_, "not_found", lookup.missing, text)

    outcome, named = index.find(lookup, sought), _named(lookup, row)
    if isinstance(outcome, Refused):
        text = f"CRM refuses to look for {named}: {outcome.message}"
        return _Deviation((Obstacle("value_refused", text, column=field_.name),))
    if isinstance(outcome, Missing):
        why = f": {outcome.why}" if outcome.why else ""
        return _refused(field_, "not_found", lookup.missing, f"CRM has no {named}{why}", match)
    if not outcome.is_active and lookup.inactive == "missing":
        return _refused(field_, "not_found", lookup.missing, f"CRM has {named}, but it is not active", match)
    if not isinstance(outcome, Found):
        text = f"CRM has {outcome.count} rows of {named}"
        return _refused(field_, "ambiguous", lookup.ambiguous, text, match)
    if not outcome.is_active and lookup.inactive == "block":
        return _refused(field_, "inactive", "block", f"{named} is not active in CRM", match)
    for agreement in field_.agreements:
        if deviation := _disagreement(field_, lookup, outcome, agreement, row, index):
            return deviation
    if not outcome.is_active:
        text = f"{named} is not active in CRM; it is used all the same"
        warning = RecordWarning(f"{lookup.called}_inactive", field_.name, text)
        return _Deviation((warning,), outcome.id.lower(), is_left=False)
    return outcome.id.lower()


def _refused(
    field_: Field, why: str, policy: OnMissing, text: str, match: Mapping[str, str] | None = None
) -> _Deviation | None:
    """The result of a look-up without a usable row; null clears the column. `match` names the row that CRM lacks."""
    assert field_.lookup is not None
    if policy == "clear":
        return None
    code = f"{field_.lookup.called}_{why}"
    if policy == "block":
        table = field_.lookup.table if match else ""
        return _Deviation((Obstacle(code, text, table, match or {}, field_.name),))
    return _Deviation((RecordWarning(code, field_.name, f"{text}; left as it is"),))


def _disagreement(
    field_: Field, lookup: Lookup, found: Found, agreement: Agreement, row: Row, index: Index
) -> _Deviation | None:
    """The result if the row that was found does not agree with another look-up's row, or with the record; else None."""
    own = found.columns.get(agreement.path)
    if not isinstance(own, Step):  # this run creates the row without a value there
        return None
    if agreement.other is None:
        currency = agreement.currency
        if own.id is None or currency is None or own.id.lower() == currency.id.lower():
            return None
        text = f"{_named(lookup, row)} is in {own.shown}, the amounts are in {currency.code}"
        return _refused(field_, "currency", lookup.disagree, text)
    other = index.find(agreement.other, [row[column] for column in agreement.other.match.values()])
    its = other.columns.get(agreement.its) if isinstance(other, Found) else None
    if not isinstance(its, Step) or None in (own.id, its.id) or own.id == its.id:
        return None
    text = (
        f"{_named(lookup, row)} is of {agreement.path} {own.shown!r}, "
        f"but {_named(agreement.other, row)} is of {agreement.its} {its.shown!r}"
    )
    return _refused(field_, f"not_of_{agreement.other.called}", lookup.disagree, text)


def _named(lookup: Lookup, row: Row) -> str:
    """`product with productnumber 'X'`, from a staged row."""
    words = (
        f"{path} {str(row[column]).rstrip()!r}" for path, column in lookup.match.items() if row[column] is not None
    )
    return f"{lookup.table} with {' and '.join(words)}"


def _key(lookup: Lookup, row: Row) -> str:
    return " / ".join(repr(str(row[each]).rstrip()) for each in lookup.match.values() if row[each] is not None)


def _owner(row: Row, field_: Field | None, index: Index) -> tuple[str, str] | None:
    if field_ is None or field_.lookup is None:
        return None
    found = index.find(field_.lookup, [row[staged] for staged in field_.lookup.match.values()])
    return found.owner if isinstance(found, Found) else None
