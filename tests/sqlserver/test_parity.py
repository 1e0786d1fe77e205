"""Both warehouses stage the same rows: every cell of every crm_* and audit_* view."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loader.warehouse.connection import Warehouse, quoted
from tests.conftest import Ended, Workbench

pytestmark = pytest.mark.sqlserver


def models(target_path: Path) -> dict[str, tuple[str, list[str]]]:
    """Name → (relation, columns) of the views that are compared.

    A column that GP's index answers is left out: on SQL Server it is GP's own, on DuckDB it is folded.
    """
    nodes = json.loads((target_path / "manifest.json").read_text(encoding="utf-8"))["nodes"].values()
    views = [node for node in nodes if node["resource_type"] == "model" and node["fqn"][1] in ("crm", "audit")]
    sought = {node["config"]["meta"].get("crm", {}).get("sought_by") for node in views}
    return {
        node["name"]: (node["relation_name"], [column for column in node["columns"] if column not in sought])
        for node in views
    }


def rows(warehouse: Warehouse, relation: str, columns: list[str]) -> list[tuple[object, ...]]:
    """Rows in an order that does not depend on the collation."""
    selected = ", ".join(map(quoted, columns))
    return sorted(warehouse.query(f"select {selected} from {relation}"), key=repr)


def compare(duckdb: Workbench, sqlserver: Workbench) -> int:
    here, there = models(duckdb.target_path), models(sqlserver.target_path)
    assert here.keys() == there.keys()
    compared = 0
    with duckdb.run() as one, sqlserver.run() as other:
        for name, (relation, columns) in here.items():
            left = rows(one.warehouse, relation, columns)
            right = rows(other.warehouse, there[name][0], columns)
            assert len(left) == len(right), name
            for mine, theirs in zip(left, right, strict=True):
                differing = [
                    (name, column, a, b) for column, a, b in zip(columns, mine, theirs, strict=True) if not same(a, b)
                ]
                assert not differing
                compared += len(columns)
    return compared


def same(a: object, b: object) -> bool:
    return type(a) is type(b) and a == b


def test_every_cell_is_the_same_before_a_push(bench: Workbench, sqlserver_bench: Workbench) -> None:
    assert compare(bench, sqlserver_bench) > 10_000


def test_a_push_from_sql_server_does_what_one_from_duckdb_does(bench: Workbench, sqlserver_bench: Workbench) -> None:
    here, there = bench.loader("push"), sqlserver_bench.loader("push")
    assert (there.exit_code, there.orders, there.data["lines"]) == (here.exit_code, here.orders, here.data["lines"])
    assert [row["reason"] for row in there.data["results"]] == [row["reason"] for row in here.data["results"]]
    apart = {row["key"] for row in there.data["results"] if row["outcome"] in ("blocked", "failed", "skipped")}
    assert sqlserver_bench.verify(apart).differences == []
    second = sqlserver_bench.loader("push")
    assert second.data["requests"]["write"] == 0
    assert second.orders["unchanged"] == there.orders["created"] + there.orders["updated"]


def test_every_cell_is_the_same_with_every_integration_on(
    whole_bench: Workbench, sqlserver_whole_bench: Workbench
) -> None:
    assert {"crm_account", "crm_invoicedetail", "crm_salesorder_deleted"} < models(whole_bench.target_path).keys()
    assert compare(whole_bench, sqlserver_whole_bench) > 20_000


def test_a_push_of_everything_from_sql_server_does_what_one_from_duckdb_does(
    whole_bench: Workbench, sqlserver_whole_bench: Workbench
) -> None:
    here, there = whole_bench.loader("push"), sqlserver_whole_bench.loader("push")
    assert (there.exit_code, there.data["lines"]) == (here.exit_code, here.data["lines"]), there.stdout + there.stderr
    assert there.data["tables"] == here.data["tables"]
    assert told(there) == told(here)
    outcomes = {place: outcome for place, (outcome, _, _) in told(there).items()}
    apart = {place for place, outcome in outcomes.items() if outcome in ("blocked", "failed", "skipped")}
    made = {place for place, outcome in outcomes.items() if outcome == "created"}
    assert sqlserver_whole_bench.verify(apart, made).differences == []
    second = sqlserver_whole_bench.loader("push")
    assert second.data["requests"]["write"] == 0
    assert second.orders["unchanged"] == there.orders["created"] + there.orders["updated"]


@pytest.mark.parametrize("born_active", [True, False])
@pytest.mark.parametrize("sop_mode", [True, False])
def test_everything_arrives_once_whatever_the_organisation_is_set_to(
    sqlserver_whole_bench: Workbench, sop_mode: bool, born_active: bool
) -> None:
    settings = {"createproductswithoutparentinactivestate": born_active, "issopintegrationenabled": sop_mode}
    sqlserver_whole_bench.crm.organization(**settings)
    ended = sqlserver_whole_bench.loader("push")
    assert ended.exit_code == 3, ended.stdout + ended.stderr
    assert ended.orders["failed"] == 0
    second = sqlserver_whole_bench.loader("push")
    assert second.data["requests"]["write"] == 0
    assert second.orders["unchanged"] == ended.orders["created"] + ended.orders["updated"]
    outcomes = {place: outcome for place, (outcome, _, _) in told(ended).items()}
    apart = {place for place, outcome in outcomes.items() if outcome in ("blocked", "skipped")}
    made = {place for place, outcome in outcomes.items() if outcome == "created"}
    assert sqlserver_whole_bench.verify(apart, made).differences == []
    assert {row["statecode"] for row in sqlserver_whole_bench.crm.rows("product")} == {0}


def told(ended: Ended) -> dict[tuple[str, str], tuple[str, str, str]]:
    """What became of each record, and why."""
    return {
        (row["table"], row["key"]): (row["outcome"], row["reason"], row["message"]) for row in ended.data["results"]
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ("check",),
        ("plan",),
        ("status",),
        ("retry", "list"),
        ("explain", "ORDST2226"),
        ("explain", "ORDST2350"),
        ("xref", "check"),
        ("sop-mode", "show"),
    ],
)
def test_every_command_answers_as_on_duckdb(
    bench: Workbench, sqlserver_bench: Workbench, arguments: tuple[str, ...]
) -> None:
    here, there = bench.loader(*arguments), sqlserver_bench.loader(*arguments)
    assert there.exit_code == here.exit_code, there.stdout
    if arguments[0] == "plan":
        by_order = [sorted(ended.data["plans"], key=lambda plan: plan["key"]) for ended in (here, there)]
        assert by_order[0] == by_order[1]


def test_the_queue_is_worked_on_sql_server(sqlserver_bench: Workbench) -> None:
    sqlserver_bench.loader("push", "--order", "ORDST2270")
    sqlserver_bench.loader("retry", "hold", "ORDST2270")
    assert sqlserver_bench.loader("push", "--order", "ORDST2270").orders["skipped"] == 1
    sqlserver_bench.loader("retry", "release", "ORDST2270")
    (entry,) = sqlserver_bench.loader("retry", "list").data["queue"]
    assert (entry["state"], entry["attempts"]) == ("open", 1)


def test_a_run_is_undone_on_sql_server(sqlserver_bench: Workbench) -> None:
    run_id = sqlserver_bench.loader("push", "--order", "ORDST2228").data["run_id"]
    ended = sqlserver_bench.loader("undo", "--run", run_id, "--yes")
    assert [row["outcome"] for row in ended.data["records"]] == ["undone"]
