"""GP goes on while it is read: an order that comes, goes or changes in between loses nothing in CRM."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from loader.warehouse.duckdb import DuckDBWarehouse
from tests.promises.conftest import IN_CRM, NEW, Handful

HEADERS, LINES = "crm_salesorder", "crm_salesorderdetail"


@pytest.fixture
def selects(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that read a staged view, by the view's name."""
    seen: list[str] = []
    for name in ("keep", "query"):
        monkeypatch.setattr(DuckDBWarehouse, name, _watched(getattr(DuckDBWarehouse, name), seen.append))
    return seen


def _watched(read: Callable[..., Any], tell: Callable[[str], None]) -> Callable[..., Any]:
    def reading(warehouse: Any, *arguments: Any, **options: Any) -> Any:
        sql = next(text for text in arguments if " " in str(text))
        for table in (HEADERS, LINES):
            if f' from "sample"."main"."{table}"' in sql:
                tell(table)
        return read(warehouse, *arguments, **options)

    return reading


def between_reads(handful: Handful, monkeypatch: pytest.MonkeyPatch, table: str, change: Callable[[Any], None]) -> None:
    """Just before the rows of `table` are read for the first time, GP changes."""
    keep = DuckDBWarehouse.keep
    done: list[Any] = []

    def keeping(warehouse: Any, name: str, select: str, sorted_by: str | None = None) -> str:
        if f'."{table}"' in select and not done:
            done.append(table)
            change(warehouse)
        return keep(warehouse, name, select, sorted_by)

    monkeypatch.setattr(DuckDBWarehouse, "keep", keeping)


def leave(order: str) -> Callable[[Any], None]:
    def change(warehouse: Any) -> None:
        warehouse.execute(f"delete from {LINES} where salesorderid = ?", [order])
        warehouse.execute(f"delete from {HEADERS} where name = ?", [order])

    return change


@pytest.mark.parametrize("table", [HEADERS, LINES])
@pytest.mark.parametrize("order", [NEW[0], IN_CRM[0]])
def test_an_order_that_leaves_between_two_reads_keeps_its_lines_in_crm(
    handful: Handful, monkeypatch: pytest.MonkeyPatch, table: str, order: str
) -> None:
    before = handful.in_crm(order)
    between_reads(handful, monkeypatch, table, leave(order))
    ended = handful.push()
    assert ended.orders["failed"] == 0
    assert sum(ended.orders.values()) == 9
    assert handful.in_crm(order) == before
    handful.assert_adds_up(ended)
    monkeypatch.undo()
    assert handful.push().data["requests"]["write"] == 0


def test_an_order_that_comes_between_two_reads_is_the_next_runs(
    handful: Handful, monkeypatch: pytest.MonkeyPatch
) -> None:
    def come(warehouse: Any) -> None:
        for model, key in ((HEADERS, "name"), (LINES, "salesorderid")):
            warehouse.execute(
                f"insert into {model} select * replace ('LATE' as {key}) from {model} where {key} = ?", [NEW[0]]
            )

    between_reads(handful, monkeypatch, HEADERS, come)
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
