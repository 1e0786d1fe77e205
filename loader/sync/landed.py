"""Rows as this run leaves them, for the look-ups of what comes after them in the same run. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from loader.contract import CURRENCY, Model
from loader.keys import match_key
from loader.sync.binding import Binding
from loader.sync.canonical import Value
from loader.sync.ids import derived_id
from loader.sync.lookups import Index, Landed, LookupKey, lookup_keys
from loader.sync.records import Current, Desired, Row, Staged, line_key

_NAMESPACE = uuid.UUID("0c2f7a52-3a52-5b0c-9d55-5f4b0f6c8b1e")


def placeholder(record_id: str, line_key: tuple[Value, ...]) -> str:
    """Stands for the id of a line that CRM, or a later change set, is still to make."""
    return derived_id(_NAMESPACE, f"{record_id}/{'/'.join(map(str, line_key))}")


@dataclass
class _Noted:
    """A staged record that later look-ups may name, with its lines."""

    noun: str
    rows: list[Landed]
    is_new: bool = False
    """CRM did not have the record before this run."""
    stays: Literal["", "out", "as it was"] = ""
    """Whether CRM's record is left alone, perhaps for another reason than the last time, or for the same one."""


@dataclass
class Landings:
    """What became of this run's records in the tables that other records look up."""

    paths: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Looked-up table → the columns, and one-step paths, by which its rows are found or that are read of them."""
    _noted: dict[tuple[str, str], _Noted] = field(default_factory=dict)

    @classmethod
    def of(cls, models: Iterable[Model]) -> Landings:
        """For the tables that these models both fill and look up."""
        models = list(models)
        keys = {key for model in models for key in lookup_keys(model)}
        filled = {each.table for model in models for each in (model, model.children) if each}
        paths: dict[str, set[str]] = {}
        for key in keys:
            if key.table in filled:
                paths.setdefault(key.table, set()).update(key.paths, key.reads)
        return cls({table: frozenset(its) for table, its in paths.items()})

    def concerns(self, model: Model) -> bool:
        """Whether anything looks up the model's records or their lines."""
        return any(each.table in self.paths for each in (model, model.children) if each)

    def lands(
        self,
        staged: Staged,
        want: Desired,
        binding: Binding,
        id_: str,
        have: Current | None,
        owner: tuple[str, str] | None,
    ) -> None:
        """Notes a record that is created or updated."""
        place = (binding.table.name, match_key(staged.key))
        before = self._noted.get(place)
        rows = list(self._rows(staged, binding, id_, want, have, owner))
        is_new = have is None or bool(before and before.is_new)
        if is_new:  # its lines are, too, also those that CRM has by now
            rows = [replace(row, is_new=True) for row in rows]
        self._noted[place] = _Noted(binding.model.noun, rows, is_new)

    def stays_out(self, staged: Staged, model: Model, why: str, *, as_it_was: bool = False) -> None:
        """Notes a record that CRM does not get, with the reason; `as_it_was` if that was so in the last run, too."""
        rows = [
            Landed(each.table, values=values, why=f"{model.noun} {staged.key} {why}")
            for each, values in self._staged_values(staged, model)
        ]
        stays: Literal["out", "as it was"] = "as it was" if as_it_was else "out"
        self._noted[(model.table, match_key(staged.key))] = _Noted(model.noun, rows, stays=stays)

    def failed(self, table: str, key: str, why: str) -> None:
        """Notes that a record did not get there after all."""
        noted = self._noted.get((table, match_key(key)))
        if noted:
            noted.rows = [replace(row, why=f"{noted.noun} {key} {why}") for row in noted.rows]

    def rows_of(self, table: str, *, written: bool = False) -> Iterator[Landed]:
        """What this run did, or will do, to the rows of a table, and those that it kept out; or only what it wrote."""
        return (
            row
            for noted in self._noted.values()
            if noted.stays != "as it was" and not (written and noted.stays)
            for row in noted.rows
            if row.table == table
        )

    def enter(self, index: Index, keys: Iterable[LookupKey], *, expected: bool) -> None:
        """Tells the look-ups of these rows. `expected`: CRM does not have them yet, so they count as its own."""
        keys = [key for key in keys if key.table in self.paths]
        for noted in self._noted.values() if keys else ():
            for row in noted.rows:
                for key in keys:
                    if key.table == row.table:
                        index.land(key, row, expected=expected)

    def _rows(
        self,
        staged: Staged,
        binding: Binding,
        id_: str,
        want: Desired,
        have: Current | None,
        owner: tuple[str, str] | None,
    ) -> Iterator[Landed]:
        model, lines = binding.model, binding.lines
        state = {**(have.state if have else binding.born), **want.state}
        own = {**(have.values if have else {}), **want.values, **state}
        if paths := self.paths.get(model.table):
            yield _landed(binding, paths, id_, own, staged.row, is_new=have is None, owner=owner)
        paths = self.paths.get(lines.table.name) if lines else None
        if not paths or lines is None or model.meta.children is None:
            return
        held = {line_key(line.values, model): line for line in have.lines} if have else {}
        for row, line in zip(staged.lines, want.lines, strict=True):
            known = held.get(line.key)
            line_id = known.id if known else placeholder(id_, line.key)
            values = {**(known.values if known else {}), **line.values}
            landed = _landed(lines, paths, line_id, values, row, is_new=known is None)
            via = {model.meta.children.via: id_}
            yield replace(
                landed, values={**landed.values, **_of_parent(paths, model, own)}, steps={**landed.steps, **via}
            )

    def _staged_values(self, staged: Staged, model: Model) -> Iterator[tuple[Model, dict[str, object]]]:
        if paths := self.paths.get(model.table):
            yield model, _as_staged(paths, staged.row, model)
        if model.children and (paths := self.paths.get(model.children.table)):
            for line in staged.lines:
                parent = _of_parent(paths, model, staged.row)
                yield model.children, {**_as_staged(paths, line, model.children), **parent}


def made_lines(staged: Staged, binding: Binding, record_id: str) -> Iterator[Landed]:
    """The lines that CRM will make by itself when it makes the record, for their siblings' look-ups."""
    children, lines = binding.model.meta.children, binding.lines
    if children is None or children.made_by_parent is None or lines is None:
        return
    paths = {path for key in sibling_keys(binding.model) for path in (*key.paths, *key.reads)}
    for row in staged.lines if paths else ():
        if row[children.made_by_parent.column]:
            line_key = tuple(row[column] for column in children.match_on)
            values = {**_as_staged(paths, row, lines.model), **_of_parent(paths, binding.model, staged.row)}
            yield Landed(lines.table.name, placeholder(record_id, line_key), values, is_new=True)


def sibling_keys(model: Model) -> list[LookupKey]:
    """The look-ups of a record's lines that find other lines."""
    return [key for key, _ in sibling_columns(model)]


def sibling_columns(model: Model) -> list[tuple[LookupKey, str]]:
    """The same, each with the line's column that holds what is looked for."""
    if model.children is None:
        return []
    lookups = (column.meta.lookup for column in model.children.sent)
    own = [each for each in lookups if each and each.table == model.children.table]
    return [(LookupKey.of(each), each.match[LookupKey.of(each).own_column]) for each in own]


def _landed(
    binding: Binding,
    paths: Iterable[str],
    id_: str,
    own: Mapping[str, object],
    staged: Row,
    *,
    is_new: bool,
    owner: tuple[str, str] | None = None,
) -> Landed:
    steps = {
        path.partition(".")[0]: str(own[path.partition(".")[0]])
        for path in paths
        if "." in path and own.get(path.partition(".")[0]) is not None
    }
    values = {path: own[path] for path in paths if path in own}
    if is_new and binding.new_currency:
        for path in paths:
            if path.partition(".")[0] == CURRENCY:
                steps.setdefault(CURRENCY, binding.currency.id)
                values[path] = binding.currency.code
    values.update({path: value for path, value in _as_staged(paths, staged, binding.model).items() if "." in path})
    return Landed(binding.table.name, id_, values, steps, owner, is_new)


def _as_staged(paths: Iterable[str], row: Row, model: Model) -> dict[str, object]:
    """What the staged row itself says of these paths; of a step as far as a look-up of the row matches by it."""
    values: dict[str, object] = {}
    columns = {column.name: column for column in model.columns}
    for path in paths:
        head, dot, rest = path.partition(".")
        column = columns.get(head)
        if column is None:
            continue
        lookup = column.meta.lookup
        if not dot:
            values[path] = row[head]
        elif lookup and rest in lookup.match:
            values[path] = row[lookup.match[rest]]
    return values


def _of_parent(paths: Iterable[str], model: Model, own: Mapping[str, object]) -> dict[str, object]:
    """What a line's paths say of its record."""
    assert model.meta.children is not None
    via = model.meta.children.via
    steps = (path.partition(".") for path in paths)
    return {f"{head}.{rest}": own.get(rest) for head, dot, rest in steps if dot and head == via}
