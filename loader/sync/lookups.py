"""Look-ups in CRM's tables: from a staged text to one row, none, or several. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from loader.contract import Lookup, Model
from loader.dataverse.metadata import Table
from loader.dataverse.replies import optional_text
from loader.keys import match_key


class Step(NamedTuple):
    """The row that a look-up points to: its id, and the column that a path such as `uomscheduleid.name` names."""

    id: str | None
    shown: object


@dataclass(frozen=True)
class Found:
    """The only row that matches. `owner` is its owner as (table, id), `columns` the others that were read, by path.

    `is_active` is False if CRM has only rows with this key that are not in use.
    """

    table: str
    id: str
    owner: tuple[str, str] | None = None
    columns: Mapping[str, object] = field(default_factory=dict)
    is_active: bool = True

    def meets(self, active: Mapping[str, Sequence[int]]) -> bool:
        """Whether the row is in use, as `meta.crm` defines it. A row counts as in use if CRM gives no value."""
        return all(self.columns.get(column) in (None, *allowed) for column, allowed in active.items())


@dataclass(frozen=True)
class Missing:
    """No row matches. `why` says what became of the staged record that would be the row, where there is one."""

    why: str = ""


@dataclass(frozen=True)
class Ambiguous:
    """More than one row matches. If `is_active` is False, none of them is in use."""

    count: int
    is_active: bool = True


@dataclass(frozen=True)
class Refused:
    """CRM refuses to look for the value. The message is CRM's own."""

    message: str


Outcome = Found | Missing | Ambiguous | Refused


class LookupKey(NamedTuple):
    """What identifies a look-up: the CRM table and the matched CRM columns, in the order of `meta.crm`.

    `reads`: the other columns that are read.
    """

    table: str
    paths: tuple[str, ...]
    reads: tuple[str, ...] = ()

    @classmethod
    def of(cls, lookup: Lookup) -> LookupKey:
        return cls(*lookup.identity)

    @property
    def own_column(self) -> str:
        """The table's own column by which rows are fetched."""
        return next(path for path in self.paths if "." not in path)


def lookup_keys(model: Model) -> list[LookupKey]:
    """Each look-up of a model and of its lines once."""
    columns = [*model.sent, *(model.children.sent if model.children else ())]
    return list(dict.fromkeys(LookupKey.of(column.meta.lookup) for column in columns if column.meta.lookup))


def lookup_columns(model: Model) -> dict[LookupKey, list[tuple[Model, str]]]:
    """For each look-up, the places where values of its own column are staged: (model, column)."""
    columns: dict[LookupKey, list[tuple[Model, str]]] = {}
    for each in [model, model.children] if model.children else [model]:
        for column in each.sent:
            lookup = column.meta.lookup
            if lookup:
                key = LookupKey.of(lookup)
                columns.setdefault(key, []).append((each, lookup.match[key.own_column]))
    return columns


@dataclass(frozen=True)
class Landed:
    """A row as this run leaves it: what it holds of the columns by which it is looked up, or that are read of it."""

    table: str
    id: str = ""
    values: Mapping[str, object] = field(default_factory=dict)
    """Column, or one-step path such as `uomscheduleid.name` → value. What is not there is as CRM has it."""
    steps: Mapping[str, str] = field(default_factory=dict)
    """Look-up column → the id that it holds."""
    owner: tuple[str, str] | None = None
    is_new: bool = False
    why: str = ""
    """Why the row is not there after all."""


class Index:
    """CRM rows by their match values, for every look-up of the contract.

    `lock` is held while a row takes the place of another; an index that several threads renew needs one.
    """

    def __init__(self, lock: AbstractContextManager[object] | None = None) -> None:
        self.made: dict[str, str] = {}
        """Ids of rows that this run makes → what they are known by before CRM has them."""
        self._expected: set[str] = set()
        self._out: dict[tuple[LookupKey, tuple[str, ...]], str] = {}
        self._lock = lock or nullcontext()
        self._rows: dict[LookupKey, dict[tuple[str, ...], list[Found]]] = {}
        self._values: dict[LookupKey, dict[str, tuple[str, ...]]] = {}
        self._refused: dict[tuple[LookupKey, str], Refused] = {}
        self.answers: dict[object, dict[Any, Any]] = {}
        """By field, what became of the values that were looked up; begun anew whenever other rows may be found."""

    def add(self, key: LookupKey, table: Table, rows: Iterable[Mapping[str, Any]]) -> None:
        """Adds the rows CRM returned for one look-up; single-step paths are read from their `$expand`."""
        found = self._rows.setdefault(key, defaultdict(list))
        by_id = self._values.setdefault(key, {})
        for row in rows:
            values = [_at(row, path, table) for path in key.paths]
            if row[table.id_column].lower() not in by_id and all(value is not None for value in values):
                found[tuple(match_key(value) for value in values)].append(_found(key, row, table))
                by_id[row[table.id_column].lower()] = tuple(str(value).rstrip(" ") for value in values)
        self.answers = {}

    def renew(self, key: LookupKey, table: Table, rows: Iterable[Mapping[str, Any]]) -> None:
        """Adds rows that were read again: they take the place of what was known, or expected, of them."""
        for row in rows:
            values = [_at(row, path, table) for path in key.paths]
            if all(value is not None for value in values):
                self._put(key, _found(key, row, table), values)

    def land(self, key: LookupKey, row: Landed, *, expected: bool) -> None:
        """Notes a row of this run; where it is `expected`, CRM does not have it yet, and it counts as CRM's."""
        known = self._values.get(key, {}).get(row.id.lower())
        before = dict(zip(key.paths, known or (), strict=False))
        values = [row.values.get(path, before.get(path)) for path in key.paths]
        if any(value is None for value in values):
            if known and expected:
                self._put(key, Found(key.table, row.id), [])
            return
        sought = tuple(match_key(value) for value in values)
        if row.why:
            self._out[(key, sought)] = row.why
            self.answers = {}
            return
        if expected:
            old = next((each for each in self._rows.get(key, {}).get(_folded(known), ()) if each.id == row.id), None)
            columns = {path: _read_of(row, path, old) for path in key.reads}
            owner = row.owner or (old.owner if old else None)
            self._put(key, Found(key.table, row.id, owner, columns), values, is_expected=row.is_new)
        if row.is_new:
            shown = f"{key.table} {' / '.join(str(value).rstrip(' ') for value in values)}"
            for found in self._rows.get(key, {}).get(sought, ()):
                self.made.setdefault(found.id.lower(), shown)

    def _put(self, key: LookupKey, found: Found, values: Sequence[object], *, is_expected: bool = False) -> None:
        """Has a row take the place of what was known of it; without `values` it is not found any more."""
        with self._lock:
            rows = self._rows.setdefault(key, defaultdict(list))
            by_id = self._values.setdefault(key, {})
            id_ = found.id.lower()
            if (before := _folded(by_id.pop(id_, None))) in rows:
                rows[before] = [each for each in rows[before] if each.id.lower() != id_]
            if values:
                sought = tuple(match_key(value) for value in values)
                others = [each for each in rows[sought] if is_expected or each.id.lower() not in self._expected]
                rows[sought] = [*others, found]
                by_id[id_] = tuple(str(value).rstrip(" ") for value in values)
                if is_expected:
                    self._expected.add(id_)
            self.answers = {}

    def looked_up(self) -> Iterator[tuple[str, tuple[str, str, str]]]:
        """Every row that was read: its table, the column by which it is found, its id, and its folded value."""
        for key, by_id in self._values.items():
            place = key.paths.index(key.own_column)
            for id_, values in by_id.items():
                yield key.table, (key.own_column, id_, match_key(values[place]))

    def refuse(self, key: LookupKey, value: str, message: str) -> None:
        """Records that CRM refuses to look for a value of the look-up's own column."""
        self._refused[(key, match_key(value))] = Refused(message)
        self.answers = {}

    def find(self, lookup: Lookup, values: Sequence[object]) -> Outcome:
        """The row with these values; None matches blank. A row in use is preferred to others with the same key."""
        key = LookupKey.of(lookup)
        sought = tuple(["" if value is None else match_key(value) for value in values])
        if self._refused and (refused := self._refused.get((key, sought[key.paths.index(key.own_column)]))):
            return refused
        rows = self._rows.get(key, {}).get(sought, ())
        if not rows:
            return Missing(self._out.get((key, sought), ""))
        used = [row for row in rows if row.meets(lookup.active)] if lookup.active else rows
        if len(used or rows) > 1:
            return Ambiguous(len(used or rows), is_active=bool(used))
        return used[0] if used else replace(rows[0], is_active=False)

    def values(self, lookup: Lookup, id_: str) -> dict[str, str]:
        """The reverse: the staged values, by column, with which `lookup` would find the row with this id.

        Empty if CRM has no such row, or if the row lacks these values.
        """
        return dict(zip(lookup.match.values(), self.texts(LookupKey.of(lookup), id_), strict=False))

    def texts(self, key: LookupKey, id_: str) -> tuple[str, ...]:
        """The same without their columns, in the order of the look-up."""
        return self._values.get(key, {}).get(id_.lower(), ())


def _folded(values: Sequence[str] | None) -> tuple[str, ...]:
    return tuple(map(match_key, values or ()))


def _read_of(row: Landed, path: str, old: Found | None) -> object:
    """What is read of a row: as this run leaves it, or else as it was."""
    before = old.columns.get(path) if old else None
    head, dot, _ = path.partition(".")
    if not dot:
        return row.values.get(path, before)
    return Step(row.steps[head], row.values.get(path)) if head in row.steps else before


def parent_table(path: str, table: Table) -> tuple[str, str]:
    """(look-up column, target table) of the first step of `uomscheduleid.name`."""
    column = path.partition(".")[0]
    return next(pair for pair in table.single if pair[0] == column)


def _at(row: Mapping[str, Any], path: str, table: Table) -> object:
    head, dot, rest = path.partition(".")
    if not dot:
        return row.get(head)
    related = row.get(table.navigation(*parent_table(path, table)))
    return related.get(rest) if related else None


def _found(key: LookupKey, row: Mapping[str, Any], table: Table) -> Found:
    columns = {
        path: Step(row.get(f"_{path.partition('.')[0]}_value"), _at(row, path, table)) if "." in path else row.get(path)
        for path in key.reads
    }
    return Found(key.table, row[table.id_column], owner_of(row), columns)


def owner_of(row: Mapping[str, Any]) -> tuple[str, str] | None:
    """A row's owner as (table, id), where it was read."""
    owner = row.get("_ownerid_value")
    kind = optional_text(row, "_ownerid_value@Microsoft.Dynamics.CRM.lookuplogicalname")
    return (kind, owner) if owner and kind else None
