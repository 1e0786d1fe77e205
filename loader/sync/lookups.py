"""Look-ups on CRM's own tables: staged text in, one id, nothing, or too many out. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from loader.contract import Lookup, Model
from loader.dataverse.metadata import Table
from loader.dataverse.replies import optional_text
from loader.keys import match_key


class Step(NamedTuple):
    """What a row's look-up points to: its id, and the column that a path such as `uomscheduleid.name` shows of it."""

    id: str | None
    shown: object


@dataclass(frozen=True)
class Found:
    """The one row that matches. `owner` is its owner as (table, id), `columns` what else was read of it, by path.

    `is_active` is False where CRM has only rows of this key that are not in use.
    """

    table: str
    id: str
    owner: tuple[str, str] | None = None
    columns: Mapping[str, object] = field(default_factory=dict)
    is_active: bool = True

    def meets(self, active: Mapping[str, Sequence[int]]) -> bool:
        """Whether the row is in use, as `meta.crm` says what that is. What CRM says nothing of is."""
        return all(self.columns.get(column) in (None, *allowed) for column, allowed in active.items())


@dataclass(frozen=True)
class Missing:
    """No row matches."""


@dataclass(frozen=True)
class Ambiguous:
    """More than one row matches; none of them is in use where `is_active` is False."""

    count: int
    is_active: bool = True


@dataclass(frozen=True)
class Refused:
    """CRM refuses to look for the value; in its own words."""

    message: str


Outcome = Found | Missing | Ambiguous | Refused


class LookupKey(NamedTuple):
    """What two look-ups share: the CRM table and the CRM columns matched, in the order of `meta.crm`.

    `reads`: the columns that are read of the rows besides.
    """

    table: str
    paths: tuple[str, ...]
    reads: tuple[str, ...] = ()

    @classmethod
    def of(cls, lookup: Lookup) -> LookupKey:
        return cls(lookup.table, tuple(lookup.match), lookup.reads)

    @property
    def own_column(self) -> str:
        """The column of the table itself, by which rows are fetched."""
        return next(path for path in self.paths if "." not in path)


def lookup_columns(model: Model) -> dict[LookupKey, list[tuple[Model, str]]]:
    """For each look-up, where the values of its own column are staged: (model, column)."""
    columns: dict[LookupKey, list[tuple[Model, str]]] = {}
    for each in [model, model.children] if model.children else [model]:
        for column in each.sent:
            lookup = column.meta.lookup
            if lookup:
                key = LookupKey.of(lookup)
                columns.setdefault(key, []).append((each, lookup.match[key.own_column]))
    return columns


class Index:
    """CRM rows by their match values, for every look-up of the contract."""

    def __init__(self) -> None:
        self._rows: dict[LookupKey, dict[tuple[str, ...], list[Found]]] = {}
        self._values: dict[LookupKey, dict[str, tuple[str, ...]]] = {}
        self._refused: dict[tuple[LookupKey, str], Refused] = {}

    def add(self, key: LookupKey, table: Table, rows: Iterable[Mapping[str, Any]]) -> None:
        """Adds the rows CRM returned for one look-up; single-step paths are read from their `$expand`."""
        found = self._rows.setdefault(key, defaultdict(list))
        by_id = self._values.setdefault(key, {})
        for row in rows:
            values = [_at(row, path, table) for path in key.paths]
            if row[table.id_column].lower() not in by_id and all(value is not None for value in values):
                found[tuple(match_key(value) for value in values)].append(_found(key, row, table))
                by_id[row[table.id_column].lower()] = tuple(str(value).rstrip(" ") for value in values)

    def refuse(self, key: LookupKey, value: str, message: str) -> None:
        """Notes that CRM refuses to look for a value of the look-up's own column."""
        self._refused[(key, match_key(value))] = Refused(message)

    def find(self, lookup: Lookup, values: Sequence[object]) -> Outcome:
        """The row with these values; None matches what is blank. A row in use wins over others of its key."""
        key = LookupKey.of(lookup)
        sought = tuple(["" if value is None else match_key(value) for value in values])
        if self._refused and (refused := self._refused.get((key, sought[key.paths.index(key.own_column)]))):
            return refused
        rows = self._rows.get(key, {}).get(sought, ())
        if not rows:
            return Missing()
        used = [row for row in rows if row.meets(lookup.active)] if lookup.active else rows
        if len(used or rows) > 1:
            return Ambiguous(len(used or rows), is_active=bool(used))
        return used[0] if used else replace(rows[0], is_active=False)

    def values(self, lookup: Lookup, id_: str) -> dict[str, str]:
        """The other way round: what `lookup` would be staged as for the row of this id, by staged column.

        Empty where CRM has no such row, or one without these values.
        """
        values = self._values.get(LookupKey.of(lookup), {}).get(id_.lower(), ())
        return dict(zip(lookup.match.values(), values, strict=False))


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
    owner = row.get("_ownerid_value")
    kind = optional_text(row, "_ownerid_value@Microsoft.Dynamics.CRM.lookuplogicalname")
    columns = {
        path: Step(row.get(f"_{path.partition('.')[0]}_value"), _at(row, path, table)) if "." in path else row.get(path)
        for path in key.reads
    }
    return Found(key.table, row[table.id_column], (kind, owner) if owner and kind else None, columns)
