"""The warehouse as the rest of the loader uses it: plain SQL with `?`, exact values, short transactions; no driver."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Literal, Protocol

from loader.errors import LoaderError, WarehouseUnavailable

Row = tuple[object, ...]


LOCK_WAIT = 2.0
"""Seconds to wait for another process, so that a short look at the journal does not make a push fail."""


class Warehouse(Protocol):
    """One connection. Threads may share it: a statement or transaction waits until the one before it has ended.

    Values are str, int, Decimal, datetime (naive, UTC), date, bool or None; never float.
    """

    @property
    def dialect(self) -> Literal["duckdb", "sqlserver"]: ...

    def query(self, sql: str, params: Sequence[object] = ()) -> list[Row]: ...

    def first(self, sql: str, number: int) -> tuple[list[str], list[Row]]:
        """A query's column names, and at most `number` of its rows."""
        ...

    def side(self) -> Warehouse:
        """A second connection to the same database, for temporary tables. The caller closes it."""
        ...

    def keep(self, name: str, select: str, sorted_by: str | None = None) -> str:
        """Stores the rows of a select in a temporary table, for as long as the connection is open. Returns its name.

        The column `sorted_by` finds rows quickly.
        """
        ...

    def execute(self, sql: str, params: Sequence[object] = ()) -> int:
        """Runs a statement. Returns the number of rows that it changed."""
        ...

    def executemany(self, sql: str, rows: Iterable[Sequence[object]]) -> None: ...

    def insert(self, relation: str, columns: Sequence[tuple[str, str]], rows: Sequence[Row]) -> None:
        """Inserts many rows quickly. `columns` are the (name, data type) pairs of the values."""
        ...

    def matching(self, expression: str, values: Iterable[str]) -> Iterator[tuple[str, list[object]]]:
        """`expression in (values)` as (condition, parameters), divided into as many parts as the database requires."""
        ...

    def now(self) -> dt.datetime:
        """The database's clock: UTC, naive. All machines that share the database use it."""
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """Commits at the end, rolls back on any exception. A transaction inside another one is part of it."""
        ...

    def exclusive(self, name: str) -> AbstractContextManager[None]:
        """A transaction during which no other one of this name is active, in this or any other process."""
        ...

    def identity(self) -> str:
        """A text that is another one for another database, and for one that was restored as far as that can be told."""
        ...

    def shortcomings(self) -> list[tuple[str, str]]:
        """What is wrong with the database's configuration or name, each with a remedy."""
        ...

    def close(self) -> None: ...


class WarehouseBusy(WarehouseUnavailable):
    """Another session was in the way (deadlock, lock timeout, conflicting write). Trying again may succeed."""

    remedy = "Run it again. If that does not help, docs/sqlserver.md says how to find the session that is in the way."


class StatementRefused(LoaderError):
    """The database cannot run a statement, because of a relation or column that it does not have, for example."""

    remedy = "Run `dbt build` with the same target, so that models and journal exist as the manifest says."

    def __init__(self, message: str) -> None:
        super().__init__(f"The warehouse refused a statement: {message}")


def first_line(message: object) -> str:
    """A database's own message, without the statement, hints and stack."""
    return str(message).strip().partition("\n")[0].strip()


def quoted(name: str) -> str:
    """A column or table name for both databases."""
    return '"' + name.replace('"', '""') + '"'


def parts_of(relation: str) -> list[str]:
    """Database (if given), schema and name of a relation that dbt quoted."""
    return [a or b or c for a, b, c in re.findall(r'"([^"]+)"|\[([^\]]+)\]|([^."\[\]]+)', relation)]


def limited(statement: str, limit: int, dialect: Literal["duckdb", "sqlserver"]) -> str:
    """A select with an order, of no more rows than `limit`."""
    if dialect == "duckdb":
        return f"{statement} limit {int(limit)}"
    return f"{statement} offset 0 rows fetch next {int(limit)} rows only"


def columns_of(warehouse: Warehouse, relation: str) -> list[str]:
    """The columns of a table or view, in order; none if it does not exist."""
    return columns_of_each(warehouse, [relation])[relation]


def columns_of_each(warehouse: Warehouse, relations: Sequence[str]) -> dict[str, list[str]]:
    """The columns of several tables or views, by relation, asked for once for all that are in one schema."""
    found: dict[str, list[str]] = {relation: [] for relation in relations}
    places: dict[tuple[str, ...], dict[str, str]] = {}
    for relation in relations:
        *place, name = parts_of(relation)
        places.setdefault(tuple(place), {})[name.lower()] = relation
    for (*database, schema), names in places.items():
        # Upper case, because a database with a case-sensitive collation finds nothing else.
        where = "TABLE_SCHEMA = ?" + (" and TABLE_CATALOG = ?" if database else "")
        wanted = [parts_of(relation)[-1] for relation in names.values()]
        rows = warehouse.query(
            f"select TABLE_NAME, COLUMN_NAME from INFORMATION_SCHEMA.COLUMNS where {where}"
            f" and TABLE_NAME in ({', '.join('?' for _ in wanted)}) order by ORDINAL_POSITION",
            [schema, *database, *wanted],
        )
        for table, column in rows:
            found[names[str(table).lower()]].append(str(column))
    return found


def collation_of(warehouse: Warehouse, relation: str, column: str) -> str | None:
    """The collation of a column of a table or view, where the database has one for each."""
    *database, schema, name = parts_of(relation)
    where = "TABLE_SCHEMA = ? and TABLE_NAME = ? and COLUMN_NAME = ?" + (" and TABLE_CATALOG = ?" if database else "")
    rows = warehouse.query(
        f"select COLLATION_NAME from INFORMATION_SCHEMA.COLUMNS where {where}", [schema, name, column, *database]
    )
    return str(rows[0][0]) if rows and rows[0][0] else None


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
    """`rows`, with exact values in the columns at the positions `doubtful`."""
    if not doubtful:
        return rows
    result = []
    for row in rows:
        values = list(row)
        for position in doubtful:
            values[position] = exact(values[position])
        result.append(tuple(values))
    return result
