"""The journal's tables, and how statements on them are run: each in a transaction of its own."""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from loader.errors import UsageError, WarehouseUnavailable
from loader.keys import fold
from loader.warehouse.connection import Row, Warehouse, columns_of_each, limited, parts_of
from loader.warehouse.journal.here import Clock, milliseconds, utc_now

AT_A_TIME = 20_000
"""How many rows are read at a time from a table that may have millions."""
T = TypeVar("T")


class TableDefinition(Protocol):
    """A journal table as dbt declares it."""

    @property
    def relation(self) -> str: ...
    @property
    def columns(self) -> Sequence[tuple[str, str]]: ...


class Table:
    """A journal table: its quoted relation, that relation's parts, and how wide its text columns are."""

    def __init__(self, name: str, definition: TableDefinition) -> None:
        self.relation = definition.relation
        self.columns = tuple((column, kind) for column, kind in definition.columns)
        names = parts_of(self.relation)
        if not 2 <= len(names) <= 3:
            raise UsageError(
                f"Journal table {name}: {self.relation!r} is not a name with a schema.",
                "Run `dbt build` again.",
            )
        self.parts: tuple[str | None, str, str] = (
            names[0] if len(names) == 3 else None,
            names[-2],
            names[-1],
        )
        self.widths = {
            column: int(width[1])
            for column, kind in self.columns
            if (width := re.fullmatch(r"\s*n?varchar\s*\(\s*(\d+)\s*\)\s*", kind, re.IGNORECASE))
        }


class Tables:
    """The journal's tables of a warehouse: `{sync_run}` in a statement stands for that table's relation.

    A table that does not exist yet is read as empty.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        tables: Mapping[str, TableDefinition],
        clock: Clock | None = None,
    ) -> None:
        self.warehouse = warehouse
        self.known = {name: Table(name, table) for name, table in tables.items()}
        self._given_clock = clock
        self._columns: dict[str, set[str]] | None = None

    def now(self) -> dt.datetime:
        """The database's clock, which runs on all machines use. UTC, in milliseconds."""
        return milliseconds((self._given_clock or self.warehouse.now)())

    def here(self) -> dt.datetime:
        """This machine's clock. It needs no statement, and is good enough for measuring durations."""
        return (self._given_clock or utc_now)()

    def columns(self, table: Table) -> set[str]:
        """The names of the columns that the table has, in lower case; none if it does not exist."""
        if self._columns is None:
            found = columns_of_each(self.warehouse, [known.relation for known in self.known.values()])
            self._columns = {relation: {name.lower() for name in names} for relation, names in found.items()}
        return self._columns[table.relation]

    def forget(self) -> None:
        """Forgets which tables and columns exist, because they may have changed."""
        self._columns = None

    def atomically(self, name: str, work: Callable[[], T]) -> T:
        """Runs `work` in a transaction that excludes others of this name. Tries again after temporary failures."""
        for pause in (0.2, 1.0):
            try:
                with self.warehouse.exclusive(name):
                    return work()
            except WarehouseUnavailable:  # another session was in the way, or the connection can be opened again
                time.sleep(pause)
        with self.warehouse.exclusive(name):
            return work()

    def sql(self, statement: str) -> str:
        """The statement with the tables' relations in place of their names in braces."""
        return statement.format(**{name: table.relation for name, table in self.known.items()})

    def execute(self, statement: str, params: Sequence[object] = ()) -> int:
        return self.warehouse.execute(self.sql(statement), params)

    def has(self, table: str, column: str) -> bool:
        """Whether a column exists: a journal from an older loader may lack some until the next run that writes."""
        return column in self.columns(self.known[table])

    def exists(self, table: str) -> bool:
        """Whether a table exists; before the first run that writes, there may be none."""
        return table in self.known and bool(self.columns(self.known[table]))

    def query(self, table: str, statement: str, params: Sequence[object] = ()) -> list[Row]:
        if not self.exists(table):
            return []
        return self.warehouse.query(self.sql(statement), params)

    def among(self, table: str, columns: str, where: str, keys: Collection[str]) -> Iterator[list[Row]]:
        """Rows with these keys, and perhaps a few with other keys. `where` has no parameters."""
        counted = self.query(table, f"select count(*) from {{{table}}} where {where}") if keys else []
        number = int(str(counted[0][0])) if counted else 0
        if not number:
            return
        select = f"select {columns} from {{{table}}} where {where}"
        if number <= len(keys) + AT_A_TIME:
            yield self.query(table, select)
            return
        for condition, params in self.warehouse.matching("match_key", sorted(keys)):
            yield self.query(table, f"{select} and {condition}", params)

    def blocks(self, table: str, columns: str, where: str) -> Iterator[list[Row]]:
        """Rows of a table, without keeping them all in memory. `where` has no parameters."""
        counted = self.query(table, f"select count(*) from {{{table}}} where {where}")
        if not counted:
            return
        if int(str(counted[0][0])) <= AT_A_TIME:
            yield self.query(table, f"select {columns} from {{{table}}} where {where}")
            return
        side = self.warehouse.side()
        try:
            numbered = f"select row_number() over (order by record_key) as block_no, {columns} from {{{table}}}"
            kept = side.keep("blocks", self.sql(f"{numbered} where {where}"), sorted_by="block_no")
            start = 0
            while rows := side.query(
                f"select {columns} from {kept} where block_no > ? and block_no <= ? order by block_no",
                [start, start + AT_A_TIME],
            ):
                yield rows
                start += AT_A_TIME
        finally:
            side.close()

    def insert(self, table: str, *rows: Mapping[str, object]) -> None:
        if not rows:
            return
        target = self.known[table]
        columns = [(name, kind) for name, kind in target.columns if name in rows[0]]
        self.warehouse.insert(
            target.relation,
            columns,
            [tuple(_fitting(row[name], target.widths.get(name)) for name, _ in columns) for row in rows],
        )

    def limited(self, statement: str, limit: int | None) -> str:
        return statement if limit is None else limited(statement, limit, self.warehouse.dialect)


def of_table(table: str) -> str:
    return "crm_table = '{}'".format(table.replace("'", "''").replace("{", "{{").replace("}", "}}"))


def keys_of(key: str) -> dict[str, object]:
    """A record's key as it is shown, and its folded form."""
    return {"record_key": key, "match_key": fold(key)}


def _fitting(value: object, width: int | None) -> object:
    """Text that fits a column: SQL Server refuses a longer one, and DuckDB refuses an unpaired surrogate."""
    if isinstance(value, str) and not value.isascii():
        value = value.encode("utf-8", "replace").decode()
    if width is not None and isinstance(value, str) and len(value) > width:
        return value[: width - 3] + "..."
    return value
