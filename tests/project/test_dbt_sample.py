"""The project, built on the sample company: who is staged, and why not."""

from __future__ import annotations

import duckdb
import pytest

from sample import company
from sample.cases import cases
from tests.project.dbt_runs import Dbt


@pytest.fixture(scope="module")
def outcomes() -> dict[str, tuple[str, str]]:
    """Outcome and reason that the sample expects of an order."""
    return {case["key"]: (case["outcome"], case["reason"]) for case in cases()}


def test_exactly_the_open_orders_are_staged(
    warehouse: duckdb.DuckDBPyConnection, outcomes: dict[str, tuple[str, str]]
) -> None:
    staged = {row[0] for row in warehouse.execute("select name from crm_salesorder").fetchall()}
    assert staged == {order for order, (outcome, _) in outcomes.items() if outcome != "not_staged"}


def test_the_audit_says_why_an_order_is_not_staged(
    warehouse: duckdb.DuckDBPyConnection, outcomes: dict[str, tuple[str, str]]
) -> None:
    said = dict(
        warehouse.execute("select order_number, scope_reason from audit_order_status where in_scope = 0").fetchall()
    )
    expected = {
        order: reason
        for order, (outcome, reason) in outcomes.items()
        if outcome == "not_staged" and reason in ("transferred", "cancelled", "voided", "stub")
    }
    assert {order: said[order] for order in expected} == expected
    assert (
        not {order for order, (_, reason) in outcomes.items() if reason in ("not_an_order", "no_header")} & said.keys()
    )


def test_every_line_belongs_to_a_staged_order(warehouse: duckdb.DuckDBPyConnection) -> None:
    strays = warehouse.execute(
        "select count(*) from crm_salesorderdetail where salesorderid not in (select name from crm_salesorder)"
    ).fetchall()
    assert strays == [(0,)]


def test_nothing_has_been_pushed_yet(warehouse: duckdb.DuckDBPyConnection) -> None:
    rows = warehouse.execute(
        "select distinct in_crm, last_outcome, reason, since, attempts, queue_state from audit_order_status"
    ).fetchall()
    assert rows == [(0, None, None, None, 0, None)]


def test_the_sources_types_are_gps(built: Dbt) -> None:
    """What __sources.yml says of a column is what the sample, and so GP, has."""
    for source in built.manifest["sources"].values():
        has = {column.name: column.sql_type for column in company.schema_of()[source["name"]].columns}
        for name, column in source["columns"].items():
            assert has[name].partition(" ")[0] == column["data_type"], f"{source['name']}.{name}"
