"""Rows in memory: one dict per table, hash indexes built when first asked for, transactions by undo log.

A row is a dict of the columns that are not null. Rows are never changed in place: a write stores a new dict, so the old
one is all that undoing needs.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import NamedTuple, TypeAlias

from .metadata import Schema


class Ref(NamedTuple):
    """A look-up's value."""

    table: str
    id: str


Value: TypeAlias = "str | int | Decimal | Ref | None"
Row: TypeAlias = "dict[str, Value]"
Key: TypeAlias = "str | int | Decimal"

VERSION = "versionnumber"
SEQUENCE = "#"  # order of creation; never leaves the emulator


_LETTERS = str.maketrans({"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ı": "i"})


def fold(value: Value) -> Key:
    """The form in which filters and look-ups compare texts: without case, accents, letter width and trailing blanks.

    This is the collation of an English organisation, _CI_AI.
    https://learn.microsoft.com/power-platform/admin/language-collations
    """
    if isinstance(value, Ref):
        return value.id
    if isinstance(value, str):
        text = value.rstrip(" ").casefold()
        return text if text.isascii() else _without_accents(text)
    assert value is not None
    return value


def _without_accents(text: str) -> str:
    letters = (unicodedata.normalize("NFKD" if letter.isalnum() else "NFD", letter) for letter in text)
    marked = "".join(letters).casefold().translate(_LETTERS)
    return "".join(letter for letter in marked if not unicodedata.combining(letter))


def _sequence(item: tuple[str, Row]) -> int:
    return item[1][SEQUENCE]  # type: ignore[return-value]


class Deleted(NamedTuple):
    id: str
    version: int


class TableData:
    """The rows of one table by id, in order of creation."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.rows: dict[str, Row] = {}
        self.deleted: list[Deleted] = []
        self._indexes: dict[str, dict[Key, dict[str, None]]] = {}
        self._sorted = True

    def in_order(self) -> Iterator[Row]:
        if not self._sorted:
            self.rows = dict(sorted(self.rows.items(), key=_sequence))
            self._sorted = True
        return iter(self.rows.values())

    def find(self, column: str, value: Value) -> list[str]:
        """Ids of the rows whose `column` equals `value`."""
        return list(self.index(column).get(fold(value), ()))

    def index(self, column: str) -> dict[Key, dict[str, None]]:
        index = self._indexes.get(column)
        if index is None:
            index = self._indexes[column] = {}
            for row_id, row in self.rows.items():
                value = row.get(column)
                if value is not None:
                    index.setdefault(fold(value), {})[row_id] = None
        return index

    def put(self, row_id: str, new: Row | None) -> Row | None:
        """Store, replace or (None) remove a row. Returns the old one."""
        old = self.rows.get(row_id)
        if new is None:
            if old is not None:
                del self.rows[row_id]
        else:
            if old is None and self.rows and new[SEQUENCE] < self._last():  # type: ignore[operator]
                self._sorted = False
            self.rows[row_id] = new
        for column, index in self._indexes.items():
            before = old.get(column) if old else None
            after = new.get(column) if new else None
            if before is after or before == after:
                continue
            if before is not None:
                key = fold(before)
                bucket = index[key]
                del bucket[row_id]
                if not bucket:
                    del index[key]
            if after is not None:
                index.setdefault(fold(after), {})[row_id] = None
        return old

    def _last(self) -> Value:
        return self.rows[next(reversed(self.rows))][SEQUENCE]


class Store:
    """All tables, the row version counter, and the open transaction."""

    def __init__(self, schema: Schema) -> None:
        self.tables = {name: TableData(name) for name in schema.tables}
        self.version = 1_000_000
        self.sequence = 0
        self._undo: list[tuple[TableData, str, Row | None]] | None = None
        self._undo_deleted: list[TableData] = []

    def get(self, table: str, row_id: str) -> Row | None:
        return self.tables[table].rows.get(row_id)

    def insert(self, table: str, row_id: str, row: Row) -> Row:
        self.sequence += 1
        row[SEQUENCE] = self.sequence
        return self._put(table, row_id, row)

    def replace(self, table: str, row_id: str, row: Row) -> Row:
        return self._put(table, row_id, row)

    def remove(self, table: str, row_id: str) -> None:
        self.version += 1
        data = self.tables[table]
        old = data.put(row_id, None)
        data.deleted.append(Deleted(row_id, self.version))
        if self._undo is not None:
            self._undo.append((data, row_id, old))
            self._undo_deleted.append(data)

    def _put(self, table: str, row_id: str, row: Row) -> Row:
        self.version += 1
        row[VERSION] = self.version
        data = self.tables[table]
        old = data.put(row_id, row)
        if self._undo is not None:
            self._undo.append((data, row_id, old))
        return row

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing. A transaction inside another one is part of it."""
        if self._undo is not None:
            yield
            return
        self._undo = []
        self._undo_deleted = []
        try:
            yield
        except BaseException:
            for data, row_id, old in reversed(self._undo):
                data.put(row_id, old)
            for data in self._undo_deleted:
                data.deleted.pop()
            raise
        finally:
            self._undo = None
