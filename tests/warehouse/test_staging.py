"""Staged rows come exact, in order, and only those asked for."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from warehouse_places import Column, Model, Place

from loader.warehouse.connection import Warehouse
from loader.warehouse.staging import count, read_rows

COLUMNS = (
    ("name", "varchar(300)"),
    ("totalamount", "decimal(19,5)"),
    ("requestdeliveryby", "instant"),
    ("statecode", "int"),
    ("ratio", "double precision"),
    ("description", "varchar(2000)"),
)


@pytest.fixture
def model(place: Place, warehouse: Warehouse) -> Model:
    instant = "timestamp" if warehouse.dialect == "duckdb" else "datetime2(3)"
    columns = tuple(Column(name, instant if kind == "instant" else kind) for name, kind in COLUMNS)
    relation = f'"{place.target.database}"."{place.schema}"."crm_salesorder"'
    warehouse.execute(f'create schema "{place.schema}"')
    warehouse.execute(f"create table {relation} ({', '.join(f'{c.name} {c.data_type}' for c in columns)})")
    rows = [
        (
            f"ORD{n:05}",
            Decimal(n) + Decimal("0.10000"),
            dt.datetime(2024, 11, 3, 4) if n % 2 else None,
            n % 5,
            0.1,
            f"text {n} ",
        )
        for n in range(4500)
    ]
    warehouse.insert(relation, [(c.name, c.data_type) for c in columns], list(reversed(rows)))
    return Model(relation, columns)


def test_rows_are_exact_and_in_order(warehouse: Warehouse, model: Model) -> None:
    rows = list(read_rows(warehouse, model, order_by=["name"], size=1000))
    assert [row["name"] for row in rows] == [f"ORD{n:05}" for n in range(4500)]
    assert rows[1] == {
        "name": "ORD00001",
        "totalamount": Decimal("1.10000"),
        "requestdeliveryby": dt.datetime(2024, 11, 3, 4),
        "statecode": 1,
        "ratio": Decimal("0.1"),
        "description": "text 1 ",
    }
    assert str(rows[1]["totalamount"]) == "1.10000"
    assert rows[0]["requestdeliveryby"] is None


def test_keys_match_in_any_case_and_with_trailing_blanks(warehouse: Warehouse, model: Model) -> None:
    rows = list(
        read_rows(warehouse, model, ("name", ["ord00007 ", "ORD00007", "ORD00003", "NOWHERE"]), order_by=["name"])
    )
    assert [row["name"] for row in rows] == ["ORD00003", "ORD00007"]
    assert list(read_rows(warehouse, model, ("name", []))) == []


def test_more_keys_than_a_statement_takes_are_asked_for_in_parts(warehouse: Warehouse, model: Model) -> None:
    keys = [f"ORD{n:05}" for n in range(0, 9000, 2)]
    assert sum(1 for _ in read_rows(warehouse, model, ("name", keys))) == 2250
    assert count(warehouse, model, ("name", keys)) == 2250
    assert count(warehouse, model) == 4500


def test_reading_can_stop_early(warehouse: Warehouse, model: Model) -> None:
    rows = read_rows(warehouse, model, order_by=["name"], size=100)
    assert next(rows)["name"] == "ORD00000"
    rows.close()
    assert count(warehouse, model) == 4500
