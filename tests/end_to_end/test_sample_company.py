"""Every case of the sample company ends as sample/cases.csv says, and CRM then holds what is staged."""

from __future__ import annotations

from collections import Counter, defaultdict
from decimal import Decimal

import pytest

from loader.profile import read_target
from loader.warehouse.connect import connect
from sample import company
from sample.cases import cases
from tests.conftest import PROJECT, Workbench

CASES = cases()


def test_every_case_ends_as_it_should_and_a_second_push_writes_nothing(bench: Workbench) -> None:
    first = bench.loader("push")
    assert first.exit_code == 3, first.stderr
    results = {row["key"]: row for row in first.data["results"]}
    wrong = []
    for case in CASES:
        outcome, result = case["outcome"], results.get(case["key"])
        if outcome == "not_staged":
            ended = ("not_staged" if result is None else result["outcome"], case["reason"], case["warnings"])
        elif result is None:
            ended = ("unchanged", "", "")
        else:
            warnings = {warning["code"] for warning in result["warnings"]}
            expected_warnings = set(filter(None, case["warnings"].split(";")))
            shown = case["warnings"] if expected_warnings <= warnings else ";".join(sorted(warnings))
            ended = (result["outcome"], result["reason"] or "", shown)
        if ended != (outcome, case["reason"], case["warnings"]):
            wrong.append((case["case"], case["key"], (outcome, case["reason"], case["warnings"]), ended))
    assert not wrong

    apart = {row["key"] for row in first.data["results"] if row["outcome"] in ("blocked", "failed", "skipped")}
    verified = bench.verify(apart)
    assert verified.differences == []
    assert verified.orders == first.orders["created"] + first.orders["updated"] + first.orders["unchanged"]

    second = bench.loader("push")
    assert second.data["requests"]["write"] == 0
    assert second.orders["created"] == second.orders["updated"] == second.orders["failed"] == 0
    assert second.orders["unchanged"] == verified.orders


def test_without_sop_mode_crm_computes_the_amounts_and_a_second_push_writes_nothing(bench: Workbench) -> None:
    bench.crm.organization(issopintegrationenabled=False)
    first = bench.loader("push")
    apart = {row["key"] for row in first.data["results"] if row["outcome"] in ("blocked", "failed", "skipped")}
    assert bench.verify(apart).differences == []
    assert bench.loader("push").data["requests"]["write"] == 0


def test_sop_mode_with_a_caller_who_is_no_integration_user(bench: Workbench) -> None:
    for user in bench.crm.rows("systemuser"):
        bench.crm.update("systemuser", user["systemuserid"], {"isintegrationuser": False})
    first = bench.loader("push")
    apart = {row["key"] for row in first.data["results"] if row["outcome"] in ("blocked", "failed", "skipped")}
    assert first.orders["failed"] == 0
    assert bench.verify(apart).differences == []
    assert bench.loader("push").data["requests"]["write"] == 0


def test_totals_and_line_amounts_are_gps_in_sop_mode(bench: Workbench) -> None:
    bench.loader("push")
    order = next(row for row in bench.crm.rows("salesorder") if row["name"] == "ORDST2226")
    staged = bench.query(
        "select totalamount, totaltax, totallineitemamount from crm_salesorder where name = 'ORDST2226'"
    )[0]
    assert (order["totalamount"], order["totaltax"], order["totallineitemamount"]) == staged
    lines = [row for row in bench.crm.rows("salesorderdetail") if row["salesorderid"]["id"] == order["salesorderid"]]
    assert {row["lineitemnumber"]: row["baseamount"] for row in lines} == dict(
        bench.query("select lineitemnumber, baseamount from crm_salesorderdetail where salesorderid = 'ORDST2226'")
    )


@pytest.mark.gp_changes
def test_one_change_in_gp_is_one_order_update(bench: Workbench) -> None:
    first = bench.loader("push")
    warehouse = bench.warehouse()
    edit = company.edit_order(warehouse, "ORDST2225")
    warehouse.close()
    ended = bench.loader("push")
    assert (ended.orders["updated"], ended.orders["created"]) == (1, 0)
    changed = {change["column"] for change in ended.result("ORDST2225")["changes"]}
    assert "quantity" in changed
    assert edit.after == edit.before + 1
    apart = {row["key"] for row in first.data["results"] if row["outcome"] in ("skipped", "blocked")}
    assert bench.verify(apart).differences == []


def test_the_journal_adds_up(bench: Workbench) -> None:
    ended = bench.loader("push")
    (row,) = bench.query(
        "select staged, created, updated, unchanged, skipped, blocked, failed, outcome from main_journal.sync_run"
    )
    assert row[0] == sum(int(str(count)) for count in row[1:7]) == 119
    assert list(row[1:7]) == list(ended.orders.values())
    queued = {key for (key,) in bench.query("select record_key from main_journal.retry_queue where state = 'open'")}
    assert queued == {row["key"] for row in ended.data["results"] if row["outcome"] in ("blocked", "failed")}
    shared = bench.query("select count(*) from main_journal.crm_xref where shared_with is not null")[0][0]
    assert shared == ended.orders["created"] + ended.orders["updated"]


def test_orders_are_shared_with_the_account_owner_user_or_team(bench: Workbench) -> None:
    bench.loader("push")
    kinds = Counter(
        str(value).split(":")[0] for (value,) in bench.query("select shared_with from main_journal.crm_xref")
    )
    assert kinds["systemuser"]
    assert kinds["team"]


def test_a_new_owner_of_the_account_gets_the_order_shared_and_nothing_else_is_written(bench: Workbench) -> None:
    bench.loader("push")
    account = next(row for row in bench.crm.rows("account") if row["accountnumber"] == "ATMORERE0001")
    other = next(row for row in bench.crm.rows("systemuser") if row["systemuserid"] != account["ownerid"]["id"])
    bench.crm.update("account", account["accountid"], {"ownerid": {"table": "systemuser", "id": other["systemuserid"]}})
    ended = bench.loader("push", "--order", "ORDST2226")
    result = ended.result("ORDST2226")
    assert result["outcome"] == "updated"
    assert result["changes"] == []
    assert result["share_with"] == f"systemuser:{other['systemuserid']}"
    assert bench.loader("push", "--order", "ORDST2226").orders["unchanged"] == 1


@pytest.mark.parametrize("command", ["plan", "check"])
def test_commands_that_only_read_write_nothing(bench: Workbench, command: str) -> None:
    before = bench.crm.rows("salesorder"), bench.crm.rows("salesorderdetail")
    bench.loader(command)
    assert (bench.crm.rows("salesorder"), bench.crm.rows("salesorderdetail")) == before


def test_order_names_that_hold_anything_are_found_and_harm_nothing(bench: Workbench) -> None:
    strange = defaultdict(list)
    bench.loader("push")
    for row in bench.crm.rows("salesorder"):
        if set(row["name"]) & set("'&#%+/\\<\"?"):
            strange[row["name"]].append(row)
    assert len(strange) >= 5
    assert all(len(rows) == 1 for rows in strange.values())


def test_a_line_number_beyond_crms_range_names_the_line(bench: Workbench) -> None:
    result = bench.loader("plan", "--order", "ORDST2261").result("ORDST2261")
    assert result["reason"] == "value_out_of_range"
    assert result["message"].startswith("line 1073741824: lineitemnumber: 1073741824")


def test_a_quantity_is_not_a_float_anywhere(bench: Workbench) -> None:
    warehouse = connect(read_target(PROJECT, None, None, bench.environ))
    (quantity,) = warehouse.query("select quantity from crm_salesorderdetail limit 1")[0]
    warehouse.close()
    assert isinstance(quantity, Decimal)
