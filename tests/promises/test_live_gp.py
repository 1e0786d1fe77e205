"""GP goes on while it is read: an order that comes, goes or changes in between loses nothing in CRM."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from loader.warehouse.connection import Row
from loader.warehouse.duckdb import DuckDBWarehouse
from tests.promises.conftest import IN_CRM, NEW, Handful
from tests.promises.own_parts import with_warehouse

HEADERS, LINES = "crm_salesorder", "crm_salesorderdetail"


@pytest.fixture
def selects(handful: Handful) -> list[str]:
    """The statements that read a staged view, by the view's name."""
    seen: list[str] = []

    def note(sql: str) -> None:
        seen.extend(table for table in (HEADERS, LINES) if f' from "sample"."main"."{table}"' in sql)

    class Watched(DuckDBWarehouse):
        def keep(self, name: str, select: str, sorted_by: str | None = None) -> str:
            note(select)
            return super().keep(name, select, sorted_by)

        def query(self, sql: str, params: Sequence[object] = ()) -> list[Row]:
            note(sql)
            return super().query(sql, params)

    with_warehouse(handful, Watched)
    return seen


def between_reads(handful: Handful, table: str, change: Callable[[Any], None]) -> None:
    """Just before the rows of `table` are read for the first time, GP changes."""
    done: list[str] = []

    class Moving(DuckDBWarehouse):
        def keep(self, name: str, select: str, sorted_by: str | None = None) -> str:
            if f'."{table}"' in select and not done:
                done.append(table)
                change(self)
            return super().keep(name, select, sorted_by)

    with_warehouse(handful, Moving)


def leave(order: str) -> Callable[[Any], None]:
    def change(warehouse: Any) -> None:
        warehouse.execute(f"delete from {LINES} where salesorderid = ?", [order])
        warehouse.execute(f"delete from {HEADERS} where name = ?", [order])

    return change


@pytest.mark.parametrize("table", [HEADERS, LINES])
@pytest.mark.parametrize("order", [NEW[0], IN_CRM[0]])
def test_an_order_that_leaves_between_two_reads_keeps_its_lines_in_crm(
    handful: Handful, table: str, order: str
) -> None:
    before = handful.in_crm(order)
    between_reads(handful, table, leave(order))
    ended = handful.push()
    assert ended.orders["failed"] == 0
    assert sum(ended.orders.values()) == 9
    assert handful.in_crm(order) == before
    handful.assert_adds_up(ended)
    assert handful.push().data["requests"]["write"] == 0


def test_an_order_that_comes_between_two_reads_is_the_next_runs(handful: Handful) -> None:
    def come(warehouse: Any) -> None:
        for model, key in ((HEADERS, "name"), (LINES, "salesorderid")):
            warehouse.execute(
                f"insert into {model} select * replace ('LATE' as {key}) from {model} where {key} = ?", [NEW[0]]
            )

    between_reads(handful, HEADERS, come)
    ended = handful.push()
    assert sum(ended.orders.values()) == 10
    assert ended.orders["failed"] == 0
    assert handful.in_crm("LATE") == []
    assert handful.push("--order", "LATE").orders["created"] == 1
    handful.assert_in_sync()


@pytest.mark.parametrize(
    "command", [["plan"], ["push"], ["push", "--max-changes", "50"], ["check"], ["explain", NEW[0]]]
)
def test_each_view_is_read_once_lines_before_headers(handful: Handful, selects: list[str], command: list[str]) -> None:
    """An order that leaves after its header was read and before its lines were would seem to have lost them all."""
    handful.loader(*command)
    assert selects == [LINES, HEADERS]
