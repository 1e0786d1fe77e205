"""A journal that version 1 wrote, brought up to the present version: nothing is lost, a line is told by its fields."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from loader.warehouse.connection import Warehouse
from loader.warehouse.journal import SCHEMA_VERSION, Journal
from tests.warehouse.warehouse_places import NOW, Place, StoppedClock

WRITTEN: dict[str, list[dict[str, Any]]] = json.loads(
    Path(__file__).with_name("journal_version_1.json").read_text(encoding="utf-8")
)
LINES = {"salesorder": "salesorderdetail", "invoice": "invoicedetail"}


@pytest.fixture
def old(place: Place, warehouse: Warehouse) -> Journal:
    """The tables hold what version 1 wrote."""
    journal = Journal(warehouse, place.tables, StoppedClock(NOW), LINES)
    journal.prepare()
    for name, rows in WRITTEN.items():
        table = place.tables[name]
        if rows:
            warehouse.insert(
                table.relation,
                table.columns,
                [
                    tuple(
                        dt.datetime.fromisoformat(row[column])
                        if column.endswith("_at") and row[column]
                        else row.get(column)
                        for column, _ in table.columns
                    )
                    for row in rows
                ],
            )
    return journal


def held(place: Place, warehouse: Warehouse, name: str, without: tuple[str, ...] = ()) -> list[tuple[Any, ...]]:
    columns = [column for column, _ in place.tables[name].columns if column not in without]
    return warehouse.query(f"select {', '.join(columns)} from {place.tables[name].relation} order by 1, 2")


CHANGES = [
    ("salesorder", "ORD1/7", None, "update", "freightamount", Decimal("5.00"), Decimal("12.50")),
    ("salesorder", "ORD1/7", None, "update", "billto_fax", "603-555-1234", None),
    ("salesorder", "ORD1/7", None, "update", "statecode", 0, 1),
    ("salesorderdetail", "ORD1/7", 16384, "update", "quantity", Decimal("1.00000"), Decimal("-2.50000")),
    ("salesorderdetail", "ORD1/7", None, "delete", "productdescription", 'Größe "M" / ORD1/7', None),
    ("salesorderdetail", "ORD1/7", 32768, "create", "ispriceoverridden", None, True),
]
WARNINGS = [
    ("price_level_not_found", "salesorder", "ORD1/7", None, "pricelevelid", "none of that name; left as it is"),
    ("value_truncated", "salesorderdetail", "ORD1/7", 16384, "productdescription", "line 2: a colon, cut"),
]


def assert_told_by_fields(journal: Journal) -> None:
    (event,) = journal.events(key="ORD1/7")
    assert [tuple(change.values()) for change in event.changes] == CHANGES
    assert {tuple(change) for change in event.changes} == {
        ("table", "key", "line", "action", "column", "before", "after")
    }
    assert str(event.changes[3]["after"]) == "-2.50000"
    assert [tuple(warning.values()) for warning in event.warnings] == WARNINGS
    assert {tuple(each) for each in event.warnings} == {("code", "table", "key", "line", "column", "message")}
    (other,) = journal.events(run_id="run-2")
    assert [(each["table"], each["key"], each["line"]) for each in other.changes] == [("invoicedetail", "INV1", 1)]


@pytest.mark.parametrize("at_a_time", [1, 2, 20_000])
def test_what_version_1_wrote_is_told_by_fields_and_nothing_is_lost(
    old: Journal, place: Place, warehouse: Warehouse, at_a_time: int
) -> None:
    old = Journal(warehouse, place.tables, StoppedClock(NOW), LINES, at_a_time=at_a_time)
    kept = {
        "sync_event": ("changes", "warnings"),
        "sync_run": ("schema_version",),
        "retry_queue": (),
        "crm_xref": (),
        "sync_lock": (),
    }
    before = {name: held(place, warehouse, name, without) for name, without in kept.items()}
    assert [len(before[name]) for name in ("sync_event", "sync_run", "retry_queue")] == [4, 2, 1]
    assert_told_by_fields(old)  # a command that only reads finds the same
    old.prepare()
    assert {name: held(place, warehouse, name, without) for name, without in kept.items()} == before
    assert_told_by_fields(old)
    text = " ".join(
        str(value)
        for row in warehouse.query(f"select changes, warnings from {place.tables['sync_event'].relation}")
        for value in row
    )
    for gone in ('"record"', 'salesorder line"', "ORD1/7/16384", '"line 16384'):
        assert gone not in text
    assert {row[-1] for row in held(place, warehouse, "sync_run")} == {SCHEMA_VERSION}
    rewritten = held(place, warehouse, "sync_event")
    old.prepare()
    assert held(place, warehouse, "sync_event") == rewritten


def test_a_run_of_version_1_that_is_still_running_is_looked_at_again(
    old: Journal, place: Place, warehouse: Warehouse
) -> None:
    runs, written = place.tables["sync_run"].relation, place.tables["sync_event"].relation
    warehouse.execute(f"update {runs} set outcome = 'running' where run_id = 'run-2'")
    old.prepare()
    changes = next(row["changes"] for row in WRITTEN["sync_event"] if row["run_id"] == "run-2")
    warehouse.execute(f"update {written} set changes = ? where run_id = 'run-2'", [changes])
    warehouse.execute(f"update {runs} set outcome = 'ok' where run_id = 'run-2'")
    old.prepare()
    assert_told_by_fields(old)
    assert '"invoicedetail"' in str(warehouse.query(f"select changes from {written} where run_id = 'run-2'"))
