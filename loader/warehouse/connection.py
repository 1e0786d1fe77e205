"""The warehouse as the loader sees it: plain SQL with `?`, exact values, short transactions. It knows no driver."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Literal, Protocol

from loader.errors import LoaderError, WarehouseUnavailable

Row = tuple[object, ...]


class Warehouse(Protocol):
    """One connection. Threads may share it: statements wait for one another, a transaction for all of its own.

    Values are str, int, Decimal, datetime (naive, UTC), date, bool or None; never float.
    """

    @property
    def dialect(self) -> Literal["duckdb", "sqlserver"]: ...

    def query(self, sql: str, params: Sequence[object] = ()) -> list[Row]: ...

    def first(self, sql: str, number: int) -> tuple[list[str], list[Row]]:
        """A query's column names and no more than `number` of its rows."""
        ...

    def side(self) -> Warehouse:
        """A second connection to the same database, for temporary tables. The caller closes it."""
        ...

    def keep(self, name: str, select: str, sorted_by: str | None = None) -> str:
        """Keeps the rows of a select in a temporary table that lives as long as the connection; gives its name.

        Rows are found fast by the column `sorted_by`.
        """
        ...

    def execute(self, sql: str, params: Sequence[object] = ()) -> int:
        """Runs a statement; gives the number of rows it changed (0 where it changes none)."""
        ...

    def executemany(self, sql: str, rows: Iterable[Sequence[object]]) -> None: ...

    def insert(self, relation: str, columns: Sequence[tuple[str, str]], rows: Sequence[Row]) -> None:
        """Adds rows fast. `columns` are the (name, data type) pairs that the values belong to."""
        ...

    def matching(self, expression: str, values: Iterable[str]) -> Iterator[tuple[str, list[object]]]:
        """`expression in (values)` as (condition, parameters), in as many parts as the database needs."""
        ...

    def now(self) -> dt.datetime:
        """The database's clock: UTC, naive. Every machine that shares the database goes by it."""
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """Commits at the end, rolls back on any exception. One inside another belongs to the outer one."""
        ...

    def exclusive(self, name: str) -> AbstractContextManager[None]:
        """A transaction that no other one of this name runs beside, in this or any other process."""
        ...

    def shortcomings(self) -> list[tuple[str, str]]:
        """What is wrong with how the database is set up or named, each with its remedy."""
        ...

    def close(self) -> None: ...


class WarehouseBusy(WarehouseUnavailable):
    """Another session was in the way (deadlock, lock timeout, conflicting write); the same work may succeed again."""

    remedy = "Run it again. If it stays so, docs/sqlserver.md tells how to find the session that is in the way."


def first_line(message: object) -> str:
    """What a database says, without statement, hints and stack."""
    return str(message).strip().partition("\n")[0].strip()


def statement_failed(message: str) -> LoaderError:
    return LoaderError(
        f"The warehouse refused a statement: {message}",
        "Run `dbt build` with the same target, so that models and journal exist as the manifest says.",
    )


def quoted(name: str) -> str:
    """A column or table name for both databases."""
    return '"' + name.replace('"', '""') + '"'


def parts_of(relation: str) -> list[str]:
    """Database (where there is one), schema and name of a relation that dbt quoted."""
    return [a or b or c for a, b, c in re.findall(r'"([^"]+)"|\[([^\]]+)\]|([^."\[\]]+)', relation)]


def columns_of(warehouse: Warehouse, relation: str) -> list[str]:
    """Columns of a table or view, in order; none where it does not exist."""
    *database, schema, name = parts_of(relation)
    # Upper case: in a database whose collation minds case, nothing else is found.
    where = "TABLE_SCHEMA = ? and TABLE_NAME = ?" + (" and TABLE_CATALOG = ?" if database else "")
    rows = warehouse.query(
        f"select COLUMN_NAME from INFORMATION_SCHEMA.COLUMNS where {where} order by ORDINAL_POSITION",
        [schema, name, *database],
    )
    return [str(row[0]) for row in rows]


def exact(value: object) -> object:
    """A driver's value as one of the types above."""
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        return value.astimezone(dt.timezone.utc).replace(tzinfo=None)
    if value is None or isinstance(value, (str, int, Decimal, dt.date)):
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    return str(value)


def exact_rows(rows: list[Row], doubtful: Sequence[int]) -> list[Row]:
    """`rows` with the columns at the positions `doubtful` made exact."""
    if not doubtful:
        return rows
    result = []
    for row in rows:
        values = list(row)
        for position in doubtful:
            values[position] = exact(values[position])
        result.append(tuple(values))
    return result
