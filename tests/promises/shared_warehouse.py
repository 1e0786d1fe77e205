"""A warehouse that several processes share, as SQL Server is one: a DuckDB file in a process of its own, its clients.

DuckDB's file lock keeps a second process out before it can ask for the loader's own lock; here only that one is left.
Run as a program, it is the loader on such a warehouse, with leases of a few seconds.
"""

from __future__ import annotations

import datetime as dt
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.connection import Client, Connection, Listener
from typing import Any, Literal, cast

from loader.cli import run_command
from loader.context import Sources
from loader.contract import Contract
from loader.errors import LoaderError
from loader.profile import Target
from loader.warehouse.connection import Warehouse
from loader.warehouse.duckdb import DuckDBWarehouse
from loader.warehouse.journal import Journal, RunStart

KEY = b"warehouse"
LEASE = 2
"""Seconds."""


class Server:
    """The process that has the file. `busy` says whether a client is within a transaction."""

    def __init__(self, target: Target) -> None:
        context = get_context("spawn")
        self._started, telling = context.Pipe(duplex=False)
        self._process = context.Process(target=serve, args=(target, telling), daemon=True)
        self._process.start()
        self.address: tuple[str, int] = self._started.recv()

    def connect(self) -> Any:
        return SharedWarehouse(self.address)

    def busy(self) -> bool:
        warehouse = self.connect()
        try:
            return bool(warehouse.ask("busy"))
        finally:
            warehouse.close()

    def close(self) -> None:
        self._process.terminate()
        self._process.join()


def serve(target: Target, telling: Connection) -> None:
    warehouse = DuckDBWarehouse(target, for_run=True)
    listener = Listener(("127.0.0.1", 0), authkey=KEY)
    telling.send(listener.address)
    busy: set[int] = set()
    while True:
        threading.Thread(target=_serve_one, args=(listener.accept(), warehouse.side(), busy), daemon=True).start()


def _serve_one(client: Connection, warehouse: Any, busy: set[int]) -> None:
    """One client, with a connection of its own; what it leaves open when it goes is rolled back."""
    entered: list[AbstractContextManager[None]] = []
    try:
        while True:
            name, arguments = client.recv()
            try:
                client.send((True, _answer(name, arguments, warehouse, entered, busy)))
            except Exception as error:
                client.send((False, error))
    except (EOFError, OSError):
        while entered:
            with suppress(Exception):
                entered.pop().__exit__(EOFError, EOFError(), None)
        busy.discard(threading.get_ident())
        warehouse.close()


def _answer(
    name: str, arguments: Sequence[Any], warehouse: Any, entered: list[AbstractContextManager[None]], busy: set[int]
) -> object:
    if name == "busy":
        return bool(busy)
    if name == "enter":
        kind, *rest = arguments
        context = getattr(warehouse, kind)(*rest)
        context.__enter__()
        entered.append(context)
        busy.add(threading.get_ident())
        return None
    if name == "leave":
        (failed,) = arguments
        error = LoaderError("The client gave up.") if failed else None
        context = entered.pop()
        if not entered:
            busy.discard(threading.get_ident())
        try:
            context.__exit__(type(error) if error else None, error, None)
        except LoaderError:
            if not failed:
                raise
        return None
    answer = getattr(warehouse, name)(*arguments)
    return list(answer) if name == "matching" else answer


class SharedWarehouse:
    """A client's connection."""

    dialect: Literal["duckdb", "sqlserver"] = "duckdb"

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._lock = threading.RLock()
        self._server = Client(address, authkey=KEY)

    def ask(self, name: str, *arguments: object) -> Any:
        with self._lock:
            self._server.send((name, arguments))
            went_well, answer = self._server.recv()
        if not went_well:
            raise answer
        return answer

    def query(self, sql: str, params: Sequence[object] = ()) -> list[tuple[object, ...]]:
        found: list[tuple[object, ...]] = self.ask("query", sql, list(params))
        return found

    def side(self) -> SharedWarehouse:
        return SharedWarehouse(self._address)

    def keep(self, name: str, select: str, sorted_by: str | None = None) -> str:
        return str(self.ask("keep", name, select, sorted_by))

    def execute(self, sql: str, params: Sequence[object] = ()) -> int:
        return int(self.ask("execute", sql, list(params)))

    def executemany(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        self.ask("executemany", sql, [list(row) for row in rows])

    def insert(self, relation: str, columns: Sequence[tuple[str, str]], rows: Sequence[Any]) -> None:
        self.ask("insert", relation, list(columns), list(rows))

    def matching(self, expression: str, values: Iterable[str]) -> Iterator[tuple[str, list[object]]]:
        yield from self.ask("matching", expression, list(values))

    def now(self) -> dt.datetime:
        now: dt.datetime = self.ask("now")
        return now

    def identity(self) -> str:
        return str(self.ask("identity"))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self._within("transaction"):
            yield

    @contextmanager
    def exclusive(self, name: str) -> Iterator[None]:
        with self._within("exclusive", name):
            yield

    @contextmanager
    def _within(self, *kind: str) -> Iterator[None]:
        with self._lock:
            self.ask("enter", *kind)
            try:
                yield
            except BaseException:
                self.ask("leave", True)
                raise
            self.ask("leave", False)

    def close(self) -> None:
        self._server.close()


class ShortLeases(Journal):
    """A lock that is free again a moment after its holder stopped renewing it."""

    def holding(self, run: RunStart, lease_seconds: int = LEASE) -> AbstractContextManager[None]:
        return super().holding(run, lease_seconds)


def short_leases(warehouse: Warehouse, contract: Contract) -> Journal:
    line_tables = {model.table: model.children.table for model in contract.models if model.children}
    return ShortLeases(warehouse, contract.journal, line_tables=line_tables)


if __name__ == "__main__":
    port, *command = sys.argv[1:]
    sources = Sources(journal=short_leases)
    if port != "-":
        sources = replace(sources, warehouse=lambda *_: cast(Any, SharedWarehouse(("127.0.0.1", int(port)))))
    sys.exit(run_command(command, sources))
