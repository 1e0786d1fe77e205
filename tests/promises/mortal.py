"""Runs that die in the middle: from one step to the next nothing of them works any more, as after SIGKILL."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from loader.dataverse.client import Client, LostReply
from loader.warehouse.connection import Warehouse


class Killed(BaseException):
    """No code of the loader's catches this."""


class Fate:
    """Counts a run's steps: requests to CRM, writes and commits in the warehouse. It dies at step `end`."""

    def __init__(self, end: int | None = None, stop_at: int | None = None, stop: threading.Event | None = None) -> None:
        self.end, self.stop_at, self.stop = end, stop_at, stop
        self.steps = 0
        self.is_dead = False
        self._lock = threading.Lock()

    def step(self) -> None:
        with self._lock:
            self.steps += 1
            self.is_dead = self.is_dead or (self.end is not None and self.steps >= self.end)
            if self.stop and self.steps == self.stop_at:
                self.stop.set()
        self.check()

    def check(self) -> None:
        if self.is_dead:
            raise Killed


class MortalClient(Client):
    """Dies before a request is sent, or when its answer is there; or while it waits for one that does not come."""

    fate: Fate
    dies_waiting = False

    def _send(self, *arguments: Any, **options: Any) -> Any:
        self.fate.step()
        try:
            return super()._send(*arguments, **options)
        except LostReply:
            self.fate.is_dead = self.fate.is_dead or self.dies_waiting
            raise
        finally:
            self.fate.step()


def mortal(inner: Warehouse, fate: Fate) -> Any:
    """A warehouse as the loader sees it: what this one does not say itself, it asks of the one inside."""
    return MortalWarehouse(inner, fate)


class MortalWarehouse:
    """Dies before a write, before a commit (which is then rolled back) or after it."""

    def __init__(self, inner: Warehouse, fate: Fate) -> None:
        self._inner, self._fate = inner, fate
        self.dialect = inner.dialect

    def query(self, sql: str, params: Sequence[object] = ()) -> list[tuple[object, ...]]:
        self._fate.check()
        return self._inner.query(sql, params)

    def side(self) -> Warehouse:
        self._fate.check()
        return self._inner.side()

    def keep(self, name: str, select: str, sorted_by: str | None = None) -> str:
        self._fate.check()
        return self._inner.keep(name, select, sorted_by)

    def execute(self, sql: str, params: Sequence[object] = ()) -> int:
        self._fate.step()
        return self._inner.execute(sql, params)

    def insert(self, relation: str, columns: Sequence[tuple[str, str]], rows: Sequence[Any]) -> None:
        self._fate.step()
        self._inner.insert(relation, columns, rows)

    def matching(self, expression: str, values: Iterable[str]) -> Iterator[tuple[str, list[object]]]:
        return self._inner.matching(expression, values)

    def now(self) -> dt.datetime:
        return self._inner.now()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self._inner.transaction():
            yield
            self._fate.step()
        self._fate.step()

    @contextmanager
    def exclusive(self, name: str) -> Iterator[None]:
        self._fate.check()
        with self._inner.exclusive(name):
            yield
            self._fate.step()
        self._fate.step()

    def identity(self) -> str:
        return self._inner.identity()

    def shortcomings(self) -> list[tuple[str, str]]:
        return self._inner.shortcomings()

    def close(self) -> None:
        """The connection is the test's."""


class Hasty(threading.Event):
    """Waits one in so many `parts` of the time that it is asked to wait, which is added to `wanted`."""

    def __init__(self, parts: int = 50, wanted: list[float] | None = None) -> None:
        super().__init__()
        self._parts, self._wanted = parts, [] if wanted is None else wanted

    def wait(self, timeout: float | None = None) -> bool:
        if timeout is None:
            return super().wait()
        self._wanted.append(timeout)
        return super().wait(timeout / self._parts)
