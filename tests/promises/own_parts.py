"""Parts of the loader that a test makes itself and hands over: a warehouse or a journal of another kind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from loader.contract import Contract
from loader.profile import Target
from loader.warehouse.connection import Warehouse
from loader.warehouse.duckdb import DuckDBWarehouse
from loader.warehouse.journal import Journal
from tests.promises.conftest import Handful


def with_warehouse(handful: Handful, kind: type[DuckDBWarehouse]) -> None:
    """From here on the warehouse is of this kind."""

    def opened(target: Target, read_only: bool, for_run: bool) -> Warehouse:
        return kind(target, read_only=read_only, for_run=for_run)

    handful.release()
    handful.sources = replace(handful.sources, warehouse=opened)


def with_journal(handful: Handful, kind: type[Journal]) -> None:
    """From here on the journal is of this kind."""

    def opened(warehouse: Warehouse, contract: Contract) -> Journal:
        line_tables = {model.table: model.children.table for model in contract.models if model.children}
        return kind(warehouse, contract.journal, line_tables=line_tables)

    handful.sources = replace(handful.sources, journal=opened)


def losing_its_lock(number: int) -> tuple[type[Journal], list[Any]]:
    """A journal whose lock another run takes right before the write of this number; and the writes that it was asked
    about."""
    asked: list[Any] = []

    class Losing(Journal):
        def ensure_held(self) -> None:
            asked.append(self)
            if len(asked) == number:
                self._tables.execute("update {sync_lock} set run_id = 'another'")
                self.renew()

    return Losing, asked
