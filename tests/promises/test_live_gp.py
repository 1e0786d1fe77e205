"""GP goes on while it is read: an order that comes, goes or changes in between loses nothing in CRM."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader import run as running
from loader.contract import Model
from loader.sync.staged import LinesOutOfOrder, orders
from tests.conftest import Built
from tests.promises.conftest import IN_CRM, NEW, Handful, contract_of

HEADERS, LINES = "crm_salesorder", "crm_salesorderdetail"


@pytest.fixture(scope="module")
def model(built: Built) -> Model:
    return contract_of(built.target_path).models[0]


NAMES = st.lists(st.sampled_from("abcdefghijkl"), unique=True).map(sorted)


@given(known=NAMES, headers=NAMES, lines=NAMES)
def test_lines_come_to_their_order_whatever_came_and_went(
    model: Model, known: list[str], headers: list[str], lines: list[str]
) -> None:
    """`known` was in scope first, then `lines`, then `headers`."""
    staged = orders(
        model,
        [{"name": name} for name in headers],
        [{"salesorderid": name, "lineitemnumber": number} for name in lines for number in (1, 2)],
        {name: place for place, name in enumerate(known)},
    )
    found = {order.key: len(order.lines) for order in staged}
    assert found == {name: 2 if name in lines else 0 for name in headers if name in known}


def test_lines_in_another_order_than_their_headers_are_refused(model: Model) -> None:
    staged = orders(
        model,
        [{"name": name} for name in "abc"],
        [{"salesorderid": name, "lineitemnumber": 1} for name in "cab"],
        {"a": 0, "b": 1, "c": 2},
    )
    with pytest.raises(LinesOutOfOrder):
        list(staged)


def between_reads(handful: Handful, monkeypatch: pytest.MonkeyPatch, table: str, change: Callable[[Any], None]) -> None:
    """Just before the rows of `table` are read, GP changes."""
    read, done = running.read_rows, []

    def reading(warehouse: Any, model: Model, *arguments: Any, **options: Any) -> Iterator[Any]:
        if model.name == table and not done:
            done.append(table)
            change(warehouse)
        yield from read(warehouse, model, *arguments, **options)

    monkeypatch.setattr(running, "read_rows", reading)


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


@pytest.mark.parametrize("table", [HEADERS, LINES])
def test_an_order_that_comes_between_two_reads_is_the_next_runs(
    handful: Handful, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    def come(warehouse: Any) -> None:
        for model, key in ((HEADERS, "name"), (LINES, "salesorderid")):
            warehouse.execute(
                f"insert into {model} select * replace ('LATE' as {key}) from {model} where {key} = ?", [NEW[0]]
            )

    between_reads(handful, monkeypatch, table, come)
    ended = handful.push()
    assert sum(ended.orders.values()) == 10
    assert ended.orders["failed"] == 0
    assert handful.in_crm("LATE") == []
    assert handful.push("--order", "LATE").orders["created"] == 1
    handful.assert_in_sync()


def test_lines_are_read_before_headers(handful: Handful, monkeypatch: pytest.MonkeyPatch) -> None:
    """An order that leaves after its header was read and before its lines were would seem to have lost them all."""
    read, asked = running.read_rows, []

    def reading(warehouse: Any, model: Model, *arguments: Any, **options: Any) -> Iterator[Any]:
        asked.append(model.name)
        yield from read(warehouse, model, *arguments, **options)

    monkeypatch.setattr(running, "read_rows", reading)
    handful.loader("plan")
    assert asked == [LINES, HEADERS]
