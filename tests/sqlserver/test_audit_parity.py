"""After a push and a reconcile the audit says the same on both warehouses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from loader.warehouse.connection import columns_of, quoted
from tests.conftest import Workbench

pytestmark = pytest.mark.sqlserver

UNLIKE = {"crm_link", "crm_url", "run_id", "event_no", "request_id", "duration_seconds", "orders_per_second"}
"""Columns of a run; instants are told by their type."""


@pytest.fixture
def sqlserver(sqlserver_bench: Workbench) -> Iterator[Workbench]:
    """Without a snapshot of CRM when it is done."""
    yield sqlserver_bench
    with sqlserver_bench.run("write") as run:
        for name, relation in run.contract.relations.items():
            if name.startswith("crm_snapshot_"):
                run.warehouse.execute(f"delete from {relation}")


@pytest.fixture
def pushed(bench: Workbench, sqlserver: Workbench) -> tuple[Workbench, Workbench]:
    for each in (bench, sqlserver):
        each.loader("push")
        each.loader("reconcile")
    return bench, sqlserver


def rows(bench: Workbench, name: str) -> Counter[tuple[object, ...]]:
    """Rows without what differs between two runs; those that JSON escapes are the server's to read."""
    with bench.run() as run:
        relation = run.contract.relations[name]
        columns = [
            column
            for column in columns_of(run.warehouse, relation)
            if column not in UNLIKE and not column.endswith(("_at", "since"))
        ]
        found = run.warehouse.query(f"select {', '.join(map(quoted, columns))} from {relation}")
    return Counter(row for row in found if not any(mark in str(cell) for mark in '"\\' for cell in row))


def test_every_audit_view_has_the_same_rows(pushed: tuple[Workbench, Workbench]) -> None:
    duckdb, sqlserver = pushed
    with duckdb.run() as run:
        names = [name for name in run.contract.relations if name.startswith(("audit_", "crm_snapshot_"))]
    for name in names:
        here, there = rows(duckdb, name), rows(sqlserver, name)
        assert here - there == Counter(), name
        assert there - here == Counter(), name


def test_a_text_of_crm_keeps_its_characters(sqlserver: Workbench) -> None:
    """Whatever the code page of the database is."""
    text = "株式会社 Žluťoučký ☂"
    sqlserver.loader("push")
    order = next(row for row in sqlserver.crm.rows("salesorder") if row["name"] == "ORDST2226")
    sqlserver.crm.update("salesorder", order["salesorderid"], {"description": text})
    sqlserver.loader("reconcile")
    with sqlserver.run() as run:
        found = run.warehouse.query(
            f"select crm_value from {run.contract.relations['audit_crm_differences']}"
            " where record_key = 'ORDST2226' and crm_column = 'description'"
        )
    assert found == [(text,)]
