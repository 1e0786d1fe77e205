"""The embedded warehouse. DuckDB itself ensures that only one process at a time writes to a file."""

from __future__ import annotations

import datetime as dt
import re
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from pathlib import Path
from typing import Any, Literal

import duckdb

from loader.compact_json import compact
from loader.errors import AccessRefused, AnotherRunActive, LoaderError, WarehouseUnavailable
from loader.profile import Target
from loader.warehouse.connection import (
    LOCK_WAIT,
    Row,
    StatementRefused,
    Warehouse,
    WarehouseBusy,
    exact_rows,
    first_line,
    quoted,
)

_EXACT = re.compile(r"(VARCHAR|U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DECIMAL.*|TIMESTAMP(_NS|_MS|_S)?|DATE|BOOLEAN)$")
_exclusive = threading.RLock()


class DuckDBWarehouse:
    """A DuckDB file, opened for reading and writing unless `read_only`."""

    dialect: Literal["duckdb", "sqlserver"] = "duckdb"

    def __init__(
        self,
        target: Target,
        *,
        read_only: bool = False,
        for_run: bool = False,
        create: bool = False,
        lock_wait: float = LOCK_WAIT,
    ) -> None:
        assert target.path is not None
        self._path = target.path
        self._lock = threading.RLock()
        self._depth = 0
        if not create and not self._path.exists():
            raise WarehouseUnavailable(
                f"There is no DuckDB file {self._path}.",
                "Run `dbt build` first, or name the file with GP_CRM_DUCKDB_PATH.",
            )
        self._connection = _open(self._path, read_only, for_run, lock_wait)
        with _errors(self._path):
            # Otherwise DuckDB would look for a missing table among Python's variables.
            self._connection.execute("set python_enable_replacements = false")
            # By default DuckDB caches what it wrote in four fifths of the machine's memory.
            self._connection.execute("set memory_limit = '1GB'")
            if not read_only:
                # By default DuckDB rewrites what has grown by 16 MB: the changes of a thousand new orders.
                self._connection.execute("set wal_autocheckpoint = '256MB'")
            for name, value in target.options:
                self._connection.execute(f"set {quoted(name)} = {_literal(value)}")
            for attached in target.attach:
                kind = f"type {attached.type}" if attached.type else ""
                access = "read_only" if attached.read_only or read_only else ""
                options = ", ".join(filter(None, [kind, access]))
                self._connection.execute(
                    f"attach if not exists {_literal(attached.path)}"
                    + (f" as {quoted(attached.alias)}" if attached.alias else "")
                    + (f" ({options})" if options else "")
                )

    def query(self, sql: str, params: Sequence[object] = ()) -> list[Row]:
        with self._lock, _errors(self._path):
            cursor = self._connection.execute(sql, list(params))
            return exact_rows(cursor.fetchall(), _doubtful(cursor.description))

    def first(self, sql: str, number: int) -> tuple[list[str], list[Row]]:
        with self._lock, _errors(self._path):
            cursor = self._connection.execute(sql)
            names = [column[0] for column in cursor.description]
            return names, exact_rows(cursor.fetchmany(number), _doubtful(cursor.description))

    def side(self) -> Warehouse:
        other = copy(self)
        other._lock, other._depth = threading.RLock(), 0
        with self._lock, _errors(self._path):
            other._connection = self._connection.cursor()
        return other

    def keep(self, name: str, select: str, sorted_by: str | None = None) -> str:
        order = f" order by {sorted_by}" if sorted_by else ""
        self.execute(f"create or replace temporary table {name} as {select}{order}")
        return f"temp.{name}"

    def execute(self, sql: str, params: Sequence[object] = ()) -> int:
        with self._lock, _errors(self._path):
            rows = self._connection.execute(sql, list(params)).fetchall()
            return rows[0][0] if rows and len(rows[0]) == 1 and isinstance(rows[0][0], int) else 0

    def executemany(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        given = [list(row) for row in rows]
        if given:
            with self._lock, _errors(self._path):
                self._connection.executemany(sql, given)

    def insert(self, relation: str, columns: Sequence[tuple[str, str]], rows: Sequence[Row]) -> None:
        # DuckDB's executemany inserts row by row, and long lists as parameters are slow before version 2. One JSON text
        # is a hundred times faster than both.
        if not rows:
            return
        names = ", ".join(quoted(name) for name, _ in columns)
        values = ", ".join(f"cast(r[{number}] as {data_type})" for number, (_, data_type) in enumerate(columns, 1))
        self.execute(
            f"insert into {relation} ({names})"
            f""" select {values} from (select unnest(from_json(?, '[["varchar"]]')) as r)""",
            [compact(rows, default=str).decode()],
        )

    def matching(self, expression: str, values: Iterable[str]) -> Iterator[tuple[str, list[object]]]:
        given = list(values)
        if given:
            yield f"""{expression} in (select unnest(from_json(?, '["varchar"]')))""", [compact(given).decode()]

    def now(self) -> dt.datetime:
        return dt.datetime.now(dt.timezone.utc).replace(tzinfo=None)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self._lock:
            if self._depth:
                yield
                return
            self.execute("begin transaction")
            self._depth += 1
            try:
                yield
                self.execute("commit")
            except BaseException:
                self._roll_back()
                raise
            finally:
                self._depth -= 1

    @contextmanager
    def exclusive(self, name: str) -> Iterator[None]:
        # DuckDB lets only one process write to the file, so only threads of this process have to be kept apart.
        with self._lock, _exclusive, self.transaction():
            yield

    def identity(self) -> str:
        path = self._path.resolve()
        return f"duckdb {path} {path.stat().st_ino if path.exists() else ''}"

    def shortcomings(self) -> list[tuple[str, str]]:
        return []

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def _roll_back(self) -> None:
        with suppress(duckdb.Error):  # a failed commit has already rolled back
            self._connection.execute("rollback")


def _open(path: Path, read_only: bool, for_run: bool, lock_wait: float) -> duckdb.DuckDBPyConnection:
    until = time.monotonic() + lock_wait
    while True:
        try:
            with _errors(path):
                return duckdb.connect(str(path), read_only=read_only)
        except _FileHeld as held:
            if time.monotonic() < until:
                time.sleep(0.1)
                continue
            if for_run and not read_only:
                raise AnotherRunActive(
                    f"{held.message} Only one process at a time can use a DuckDB file to push.",
                    f"Wait for {held.holder} to end (a run, dbt or a database tool), or close it.",
                ) from None
            raise WarehouseUnavailable(
                held.message, f"Wait for {held.holder} to end (a run, dbt or a database tool), or close it."
            ) from None


class _FileHeld(WarehouseUnavailable):
    holder = "that process"


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        raise _translated(error, path) from error


def _translated(error: duckdb.Error, path: Path) -> LoaderError:
    message = first_line(error)
    lowered = message.lower()
    if "conflicting lock" in lowered or "used by another process" in lowered or "already open in" in lowered:
        holder = re.search(r"held in (\S*)\s*\(PID (\d+)\)", message)
        name = f"process {holder[2]} ({Path(holder[1]).name})" if holder else "the other process"
        held = _FileHeld(f"DuckDB file {path} is in use by {name}.")
        held.holder = f"process {holder[2]}" if holder else "that process"
        return held
    if "different configuration than existing connections" in lowered:
        return WarehouseUnavailable(
            f"DuckDB file {path} is already open in this process, in another mode.",
            "Close that connection first.",
        )
    if "permission denied" in lowered or "read-only" in lowered or "readonly" in lowered:
        return AccessRefused(
            f"DuckDB file {path} cannot be written or read: {message}",
            "Give this account write access to the file and to its directory.",
        )
    if "no space left" in lowered or "disk full" in lowered or "not enough space" in lowered:
        return LoaderError(
            f"No space left where DuckDB writes ({path}): {message}",
            "Free disk space and run it again: what CRM has by now is compared, not sent twice.",
        )
    if isinstance(error, duckdb.OutOfMemoryException):
        return WarehouseUnavailable(
            f"DuckDB needs more memory than it may use: {message}",
            "Allow it more with `memory_limit` in the `settings` of the target in profiles.yml.",
        )
    if isinstance(error, duckdb.TransactionException):
        return WarehouseBusy(f"DuckDB could not commit because of another transaction: {message}")
    if isinstance(error, (duckdb.IOException, duckdb.FatalException, duckdb.ConnectionException)):
        return WarehouseUnavailable(
            f"DuckDB file {path} cannot be used: {message}",
            "Check that the file is readable and of this version of DuckDB; `dbt build` creates a new one.",
        )
    return StatementRefused(message)


def _doubtful(description: Any) -> list[int]:
    return [position for position, column in enumerate(description or ()) if not _EXACT.match(str(column[1]))]


def _literal(value: object) -> str:
    if isinstance(value, (bool, int)):
        return str(value).lower()
    return "'" + str(value).replace("'", "''") + "'"
