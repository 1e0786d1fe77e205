"""An eye on CRM at every commit: an order is always as it was, or as it was staged, and never in between."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, NamedTuple

from emulator import Emulator
from emulator.store import Ref
from loader.keys import fold


class Line(NamedTuple):
    number: int | None
    quantity: Decimal | None
    item: str | None
    """Product or text; None where CRM holds a product."""


class Shape(NamedTuple):
    """What makes an order whole: its state and its lines, each as often as it is there."""

    state: tuple[int, int]
    lines: tuple[Line, ...]


class Atomicity:
    """Looks at every order, or invoice, at each commit of CRM's; `broken` lists what was neither old nor staged."""

    def __init__(self, crm: Emulator, table: str = "salesorder") -> None:
        self._crm, self._table = crm, table
        self._allowed: dict[str, set[Shape]] = defaultdict(set)
        self._seen_version = 0
        self.broken: list[str] = []
        self.commits = 0
        self.remember()
        self._watch()

    def remember(self) -> None:
        """What CRM holds now is nothing that a push made: someone changed it there."""
        with self._crm.lock:
            for name, shape in self._shapes():
                self._allowed[name].add(shape)
            self._seen_version = self._crm.store.version

    def allow(self, headers: list[dict[str, Any]], lines: list[dict[str, Any]]) -> None:
        """What is staged now may be in CRM from now on."""
        by_order: dict[str, list[Line]] = defaultdict(list)
        for line in lines:
            item = line["productdescription"] if line["isproductoverridden"] else None
            by_order[line[f"{self._table}id"]].append(Line(line["lineitemnumber"], line["quantity"], item))
        for header in headers:
            if header["statecode"] is not None:
                state = (header["statecode"], header["statuscode"])
                self._allowed[fold(header["name"])].add(Shape(state, _sorted(by_order[header["name"]])))

    def _watch(self) -> None:
        store, inner = self._crm.store, self._crm.store.transaction

        @contextmanager
        def transaction() -> Iterator[None]:
            is_outermost = store._undo is None
            with inner():
                yield
            if is_outermost and store.version != self._seen_version:
                self._look()

        store.transaction = transaction  # type: ignore[method-assign]

    def _look(self) -> None:
        self.commits += 1
        self._seen_version = self._crm.store.version
        for name, shape in self._shapes():
            if shape not in self._allowed[name]:
                self.broken.append(f"{name} was committed as {shape}, allowed are {sorted(self._allowed[name])}")

    def _shapes(self) -> Iterator[tuple[str, Shape]]:
        tables = self._crm.store.tables
        key, details = f"{self._table}id", tables[f"{self._table}detail"]
        for row in tables[self._table].rows.values():
            lines = []
            for id_ in details.find(key, Ref(self._table, str(row[key]))):
                line: Any = details.rows[id_]
                item = line.get("productdescription") if line.get("isproductoverridden") else None
                lines.append(Line(line.get("lineitemnumber"), line.get("quantity"), item))
            header: Any = row
            yield fold(header["name"]), Shape((header["statecode"], header["statuscode"]), _sorted(lines))


def _sorted(lines: list[Line]) -> tuple[Line, ...]:
    return tuple(sorted(lines, key=lambda line: (line.number or -1, line.quantity or 0, line.item or "")))
