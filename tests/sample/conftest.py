"""A DuckDB warehouse without the loader, and a copy of the sample's files that a test may break."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal

import duckdb
import pytest

from sample import company, reading


class DuckDB:
    """The part of a warehouse connection that the sample uses."""

    @property
    def dialect(self) -> Literal["duckdb", "sqlserver"]:
        return "duckdb"

    def __init__(self) -> None:
        self.connection = duckdb.connect()
        self.connection.execute("set enable_progress_bar = false")

    def query(self, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql, list(params)).fetchall()

    def execute(self, sql: str, params: Sequence[object] = ()) -> int:
        self.connection.execute(sql, list(params))
        return 0

    def executemany(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        self.connection.executemany(sql, [list(row) for row in rows])

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.connection.begin()
        try:
            yield
        except BaseException:
            self.connection.rollback()
            raise
        self.connection.commit()


class Server:
    """Keeps what SQL Server would be sent."""

    dialect = "sqlserver"

    def __init__(self) -> None:
        self.sent: list[tuple[str, list[object]]] = []
        self.many: dict[str, list[list[object]]] = {}

    def execute(self, sql: str, params: Sequence[object] = ()) -> int:
        self.sent.append((sql, list(params)))
        return 0

    def executemany(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        table = sql.split('"."')[1].split('"')[0]
        self.many.setdefault(table, []).extend(list(row) for row in rows)

    def transaction(self) -> nullcontext[None]:
        return nullcontext()


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def warehouse() -> DuckDB:
    return DuckDB()


@pytest.fixture(scope="module")
def loaded() -> DuckDB:
    """The sample company, loaded once for tests that only read."""
    warehouse = DuckDB()
    company.load(warehouse)
    return warehouse


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A copy of the files that `company` and `organisation` read."""
    for name in ("gp", "crm"):
        shutil.copytree(reading.FOLDER / name, tmp_path / name)
    return tmp_path
