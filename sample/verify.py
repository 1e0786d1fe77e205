"""Does CRM hold what is staged? Compared value by value, without the loader's own comparison.

The staged views are read with plain SQL; CRM's rows come out of the local CRM as they are stored. Business keys stand
for ids: an order's `customerid` is right when the account it points to has the staged account number. What a column is
to CRM, the models' meta.crm and CRM's own declarations say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from emulator.crm import Crm
    from emulator.metadata import Column as Declared
    from loader.contract import Column, Lookup, Model

Row: TypeAlias = Mapping[str, Any]
Key: TypeAlias = tuple[str, str]
"""CRM table and key of a record."""

CENTS = 2
"""Decimals of an amount in the sample's currency."""


@dataclass
class Verification:
    """How many records and values were compared, and each that differs in words."""

    records: Counter[str] = field(default_factory=Counter)
    """Records by CRM table, lines included."""
    values: int = 0
    differences: list[str] = field(default_factory=list)

    @property
    def orders(self) -> int:
        return self.records["salesorder"]


@dataclass(frozen=True)
class StagedModel:
    """The rows that dbt staged for a model, and for its lines."""

    model: Model
    rows: Sequence[Row]
    lines: Sequence[Row] = ()

    @cached_property
    def lines_of(self) -> Mapping[str, list[Row]]:
        """Lines by the key of their record."""
        assert self.model.meta.children is not None
        found: dict[str, list[Row]] = {}
        for line in self.lines:
            found.setdefault(line[self.model.meta.children.via], []).append(line)
        return found


def staged(query: Any, model: Model) -> StagedModel:
    """What is staged for a model; `query` runs SQL and returns tuples."""
    lines = list(_rows(query, model.children)) if model.children else []
    return StagedModel(model, list(_rows(query, model)), lines)


def _rows(query: Any, model: Model) -> Iterator[dict[str, Any]]:
    columns = [column.name for column in model.columns]
    names = ", ".join(f'"{name}"' for name in columns)
    for row in query(f"select {names} from {model.relation}"):
        yield dict(zip(columns, row, strict=True))


def verify(
    everything: Iterable[StagedModel],
    crm: Crm,
    *,
    apart: Collection[Key] = (),
    created: Collection[Key] = (),
    keeps_amounts: bool = True,
) -> Verification:
    """Compares every staged record that is not in `apart`.

    Of a model that never creates, those that CRM has. What goes to CRM only when a record is created is compared for
    the records in `created`. `keeps_amounts`: CRM keeps the amounts that are sent instead of computing its own.
    """
    found = _Comparison(crm, created, keeps_amounts)
    taken: set[Key] = set()
    for each in everything:
        for row in each.rows:
            its = (each.model.table, each.model.key_of(row))
            if its not in taken and its not in apart:
                found.compare_record(each, row, its)
            taken.add(its)
    return found.result


class _Comparison:
    def __init__(self, crm: Crm, created: Collection[Key], keeps_amounts: bool) -> None:
        self.result = Verification()
        self._crm, self._created, self._keeps_amounts = crm, created, keeps_amounts
        self._rows: dict[str, dict[str, Row]] = {}
        self._indexes: dict[tuple[str, tuple[str, ...]], dict[tuple[str | None, ...], list[Row]]] = {}

    # ------------------------------------------------ records and their lines

    def compare_record(self, each: StagedModel, row: Row, its: Key) -> None:
        model = each.model
        held = self._held(model, model.meta.match_on, row)
        if not held and model.meta.create == "never":
            return
        self.result.records[model.table] += 1
        if len(held) != 1:
            self.result.differences.append(f"{model.noun} {its[1]}: {len(held)} records in CRM")
            return
        self._compare(f"{model.noun} {its[1]}", model, row, held[0], is_created=its in self._created)
        if model.children:
            self._compare_lines(f"{model.noun} {its[1]}", each, row, held[0])

    def _compare_lines(self, where: str, each: StagedModel, row: Row, parent: Row) -> None:
        lines, meta = each.model.children, each.model.meta.children
        assert lines is not None
        assert meta is not None
        parent_id = parent[self._crm.id_column(each.model.table)]
        held = [line for line in self._all(lines.table).values() if _id(line.get(meta.via)) == parent_id]
        wanted = each.lines_of.get(row[each.model.key_column], [])
        by_key: dict[tuple[Any, ...], list[Row]] = {}
        for line in held:
            by_key.setdefault(tuple(_folded(line.get(name)) for name in meta.match_on), []).append(line)
        keys = Counter(tuple(_folded(line[name]) for name in meta.match_on) for line in wanted)
        extra = {key: len(its) for key, its in by_key.items() if len(its) != keys[key] and (keys[key] or meta.delete)}
        missing = keys - Counter({key: len(its) for key, its in by_key.items()})
        if extra or missing:
            self.result.differences.append(f"{where}: lines are {sorted(by_key, key=str)}, staged are {sorted(keys)}")
            return
        for line in wanted:
            key = tuple(_folded(line[name]) for name in meta.match_on)
            self.result.records[lines.table] += 1
            if meta.made_by_parent and line[meta.made_by_parent.column]:
                continue
            self._compare(f"{where} line {' / '.join(map(str, key))}", lines, line, by_key[key][0], via=meta.via)

    def _held(self, model: Model, names: Sequence[str], row: Row) -> list[Row]:
        """CRM's rows of the record's key."""
        found: list[Row] = []
        for held in self._index(model.table, tuple(names)).get(self._staged_key(model, names, row), []):
            found.append(held)
        return found

    def _staged_key(self, model: Model, names: Sequence[str], row: Row) -> tuple[str | None, ...]:
        key: list[str | None] = []
        for name in names:
            lookup = model.column(name).meta.lookup
            if lookup is None:
                key.append(_folded(row[name]))
            else:
                rows = self._candidates(lookup, row)
                key.append(rows[0][self._crm.id_column(lookup.table)] if len(rows) == 1 else None)
        return tuple(key)

    # ------------------------------------------------ one row

    def _compare(
        self, where: str, model: Model, row: Row, held: Row, *, is_created: bool = True, via: str | None = None
    ) -> None:
        declared = self._crm.schema.tables[model.table].columns
        for column in model.sent:
            name, meta = column.name, column.meta
            its = declared.get(name)
            if name == via or (its is None and meta.if_absent == "skip"):
                continue
            if its is None:
                self.result.differences.append(f"{where} {name}: CRM has no such column")
                continue
            if not is_created and (meta.only_at == "create" or not its.update):
                continue
            if meta.computed and not self._keeps_amounts:
                continue
            if meta.xref and row[name] is None and row[meta.xref.code] is not None:
                continue  # a code without a translation leaves the column alone
            if meta.lookup:
                self._compare_lookup(where, column, meta.lookup, row, held)
            else:
                self.result.values += 1
                self._differ(where, name, _as_stored(its, row[name]), _plain(held.get(name)))

    def _compare_lookup(self, where: str, column: Column, lookup: Lookup, row: Row, held: Row) -> None:
        if row[column.name] is None and column.meta.only_at == "create":
            return  # who creates a record owns it
        if row[column.name] is None:
            wanted: str | None = None
        else:
            found = self._candidates(lookup, row, held)
            if len(found) > 1 and lookup.ambiguous == "leave":
                return
            if not found and lookup.missing == "leave":
                return
            if len(found) != 1 and not (not found and lookup.missing == "clear"):
                self.result.differences.append(f"{where} {column.name}: {len(found)} {lookup.called} in CRM")
                return
            wanted = found[0][self._crm.id_column(lookup.table)] if found else None
        self.result.values += 1
        present = _id(held.get(column.name))
        if wanted != present:
            shown = [self._shown(lookup, each) for each in (present, wanted)]
            self._differ(where, column.name, shown[1], shown[0])

    def _candidates(self, lookup: Lookup, row: Row, held: Row | None = None) -> list[Row]:
        """CRM's rows that a look-up may mean; those that are in use come first."""
        key = tuple(_folded(row[name]) for name in lookup.match.values())
        found = self._index(lookup.table, tuple(lookup.match)).get(key, [])
        in_use = [each for each in found if all(each.get(name) in values for name, values in lookup.active.items())]
        if in_use or lookup.inactive == "missing":
            found = in_use
        for path, its in lookup.agree.items():
            column, dot, _ = path.partition(".")
            if dot and "." not in its and held is not None and lookup.disagree == "leave":
                found = [each for each in found if _id(each.get(column)) == _id(held.get(its))]
        return found

    def _shown(self, lookup: Lookup, row_id: str | None) -> str | None:
        row = self._all(lookup.table).get(row_id or "")
        return row_id if row is None else " / ".join(str(self._at(row, path)) for path in lookup.match)

    def _differ(self, where: str, column: str, wanted: object, present: object) -> None:
        if wanted != present:
            self.result.differences.append(f"{where} {column}: CRM has {present!r}, staged is {wanted!r}")

    # ------------------------------------------------ CRM's rows

    def _all(self, table: str) -> dict[str, Row]:
        if table not in self._rows:
            id_column = self._crm.id_column(table)
            self._rows[table] = {row[id_column]: row for row in self._crm.rows(table)}
        return self._rows[table]

    def _index(self, table: str, paths: tuple[str, ...]) -> dict[tuple[str | None, ...], list[Row]]:
        if (table, paths) not in self._indexes:
            index = self._indexes[table, paths] = {}
            for row in self._all(table).values():
                index.setdefault(tuple(self._at(row, path) for path in paths), []).append(row)
        return self._indexes[table, paths]

    def _at(self, row: Row, path: str) -> str | None:
        """The value of a column, or of a column of the row that a look-up names."""
        name, dot, step = path.partition(".")
        value = row.get(name)
        if dot:
            return self._at(self._all(value["table"])[value["id"]], step) if value else None
        return _id(value) if isinstance(value, Mapping) else _folded(value)


def _as_stored(declared: Declared, value: Any) -> object:
    """A staged value as CRM keeps it."""
    if isinstance(value, str):
        return value.rstrip(" ")[: declared.max_length].rstrip(" ") or None
    if isinstance(value, datetime) and declared.behavior != "DateOnly":
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, date):
        return value.strftime("%Y-%m-%d")
    if isinstance(value, Decimal):
        decimals = CENTS if declared.type == "Money" and declared.precision_source else declared.precision
        return value.quantize(Decimal(1).scaleb(-(decimals or 0)), ROUND_HALF_UP) + 0
    return value


def _plain(value: Any) -> object:
    if isinstance(value, bool):
        return int(value)
    return value.rstrip(" ") or None if isinstance(value, str) else value


def _id(value: Any) -> str | None:
    return value["id"] if value else None


def _folded(value: object) -> str | None:
    return None if value is None else str(value).rstrip(" ").casefold()
