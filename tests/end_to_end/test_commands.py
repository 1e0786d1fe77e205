"""The commands beside plan and push, as an operator uses them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import pytest

from loader.context import Sources
from loader.profile import Target
from loader.warehouse.connection import Row, Warehouse
from loader.warehouse.duckdb import DuckDBWarehouse
from tests.conftest import Workbench


def texts(findings: list[dict[str, str]], state: str) -> str:
    return "\n".join(finding["text"] for finding in findings if finding["state"] == state)


def test_check_names_what_keeps_orders_back_and_what_goes_with_a_warning(bench: Workbench) -> None:
    """What someone has to correct is an error; what CRM lacks so far, or what leaves a column, is a warning."""
    ended = bench.loader("check")
    assert ended.exit_code == 1, ended.stdout
    errors, warnings = (texts(ended.data["findings"], state) for state in ("error", "warning"))
    assert "1 would be blocked as status_unmapped: ORDST2282 (statuscode: GP's code '42'" in errors
    assert "1 would be blocked as order_ambiguous: ORDST2233 (CRM has 2 salesorders" in errors
    assert "account by accountnumber: 1 ambiguous, their orders are blocked: LASERMES0001" in errors
    assert "uom by name, uomscheduleid.name: 1 ambiguous, their orders are blocked: Box / BOXED" in errors
    assert "value_out_of_range" in errors
    assert "pricelevel by name: 1 ambiguous, the column is left as it is" in warnings
    assert "would go with the warning shipping_method_unmapped" in warnings
    assert (
        "1 would go with the warning order_taken_over: ORDST2235 (CRM had it for account UNIFIEDW0001, now it is for"
    ) in warnings
    assert "uom by name, uomscheduleid.name: 1 cannot be looked up, their orders are blocked: Each: GP has no such" in (
        warnings
    )
    assert "datedelivered: salesorder has no such column" in warnings
    assert "account by accountnumber: 1 not found, their orders are blocked: DIRECTMA0001" in warnings
    assert all(finding["remedy"] for finding in ended.data["findings"] if finding["state"] != "ok")


def test_check_names_the_privileges_that_are_missing(bench: Workbench) -> None:
    bench.crm.deny(None, "prvShareOrder")
    ended = bench.loader("check")
    assert ended.exit_code == 1
    assert "lacks prvShareOrder" in texts(ended.data["findings"], "error")


def test_check_names_options_that_crm_does_not_have(bench: Workbench) -> None:
    bench.execute("insert into xref_payment_terms values ('Net 99', 99, 'nothing')")
    ended = bench.loader("check")
    assert ended.exit_code == 1
    assert "xref_payment_terms.crm_value holds 99" in texts(ended.data["findings"], "error")


def test_xref_check_counts_the_orders_of_each_unmapped_code(bench: Workbench) -> None:
    ended = bench.loader("xref", "check")
    assert ended.exit_code == 1
    assert "GP's code '42' has no translation; 1 order is blocked" in texts(ended.data["findings"], "error")
    assert "GP's code 'BIKE COURIER' has no translation; 2 orders" in texts(ended.data["findings"], "warning")


def test_sop_mode_is_shown_switched_and_not_switched_off_under_submitted_orders(bench: Workbench) -> None:
    assert bench.loader("sop-mode", "show").data["amounts"] == "kept as GP has them"
    refused = bench.loader("sop-mode", "disable", "--yes")
    assert refused.exit_code == 7
    assert "ORDST2232" in refused.error["message"]
    for order in bench.crm.rows("salesorder"):
        if order["statecode"] == 1:
            bench.crm.update("salesorder", order["salesorderid"], {"statecode": 0, "statuscode": 1})
    assert bench.loader("sop-mode", "disable", "--yes").data["amounts"] == "computed by CRM"
    enabled = bench.loader("sop-mode", "enable", "--integration-user", "--yes")
    assert enabled.data["amounts"] == "kept as GP has them"


def test_explain_shows_each_column_from_gp_to_crm(bench: Workbench) -> None:
    content = bench.loader("explain", "ordst2226").data
    columns = {column["column"]: column for column in content["lines"][0]["columns"]}
    assert columns["quantity"]["gp"] == ["SOP10200.QUANTITY"]
    assert (columns["quantity"]["sent"], columns["quantity"]["equal"]) == (3.0, False)
    assert columns["quantity"]["gp_values"] == ["3.00000"]
    header = {column["column"]: column for column in content["columns"]}
    assert header["name"]["gp_values"] == ["ORDST2226"]
    assert header["shipto_telephone"]["gp_values"][0].isdigit()
    assert content["plan"]["action"] == "update"
    text = bench.loader("explain", "ORDST2226", json_output=False).stdout
    assert "PHONEFROMGP" in text
    assert "A push would do:" in text


@pytest.mark.parametrize(("order", "reason"), [("ORDST2350", "transferred"), ("ORDST2352", None), ("ORDST2354", None)])
def test_explain_says_why_an_order_is_out_of_scope(bench: Workbench, order: str, reason: str | None) -> None:
    content = bench.loader("explain", order).data
    assert not content["staged"]
    assert content["status"]["in_scope"] == 0
    if reason:
        assert content["status"]["scope_reason"] == reason


def test_explain_of_an_unknown_order_is_an_error(bench: Workbench) -> None:
    ended = bench.loader("explain", "NOSUCH")
    assert ended.exit_code == 1
    assert ended.error["code"] == "not_found"


def test_a_held_order_is_skipped_until_it_is_released(bench: Workbench) -> None:
    assert bench.loader("retry", "hold", "ORDST2225").exit_code == 0
    held = bench.loader("push", "--order", "ORDST2225")
    assert (held.exit_code, held.orders["skipped"], held.result("ORDST2225")["reason"]) == (0, 1, "held")
    assert bench.loader("retry", "release", "ORDST2225").exit_code == 0
    assert bench.loader("push", "--order", "ORDST2225").orders["updated"] == 1


def test_ignored_orders_are_skipped_too(bench: Workbench) -> None:
    bench.loader("retry", "ignore", "ORDST2270")
    ended = bench.loader("push", "--order", "ORDST2270")
    assert ended.result("ORDST2270")["reason"] == "ignored"


def test_an_order_wakes_when_its_account_appears(bench: Workbench) -> None:
    assert bench.loader("push", "--order", "ORDST2270").exit_code == 3
    (entry,) = bench.loader("retry", "list").data["queue"]
    assert (entry["reason"], entry["attempts"]) == ("account_not_found", 1)
    assert entry["missing"][0]["match"] == {"accountnumber": "DIRECTMA0001"}
    like = bench.crm.rows("account")[0]
    bench.crm.insert("account", {"name": "Direct", "accountnumber": "directma0001", "ownerid": like["ownerid"]})
    ended = bench.loader("retry", "now")
    assert (ended.exit_code, ended.orders["created"]) == (0, 1)
    assert bench.loader("retry", "list").data["queue"] == []
    (entry,) = bench.loader("retry", "list", "--all").data["queue"]
    assert (entry["state"], entry["resolution"]) == ("resolved", "synced")


@pytest.mark.parametrize(
    ("blank", "reason", "message"),
    [
        ("UOFM = ''", "uom_not_found", "uomid is blank"),
        ("ITEMNMBR = ''", "product_not_found", "productid is blank"),
    ],
)
@pytest.mark.gp_changes
def test_an_inventoried_line_without_unit_or_item_waits(
    bench: Workbench, blank: str, reason: str, message: str
) -> None:
    bench.execute(f"update gp.SOP10200 set {blank} where rtrim(SOPNUMBE) = 'ORDST2225' and NONINVEN = 0")
    result = bench.loader("push", "--order", "ORDST2225").result("ORDST2225")
    assert (result["outcome"], result["reason"]) == ("blocked", reason)
    assert message in result["message"]
    assert bench.loader("retry", "list").data["queue"][0]["missing"][0]["table"] in ("uom", "product")


def test_the_queue_tells_the_money_that_waits(bench: Workbench) -> None:
    bench.loader("push")
    bench.loader("retry", "hold", "ORDST2225")
    told = bench.loader("retry", "list").data
    amounts = {str(key): amount for key, amount in bench.query("select name, totalamount from crm_salesorder")}
    assert {row["key"]: row["amount"] for row in told["queue"]} == {
        row["key"]: float(amounts[row["key"]]) for row in told["queue"]
    }
    assert next(row["title"] for row in told["queue"] if row["key"] == "ORDST2225")
    waits = sum(amounts[row["key"]] for row in told["queue"] if row["state"] == "open")
    assert told["amount"] == float(waits) > 0
    assert f"{waits:,.2f} waits." in bench.loader("retry", "list", json_output=False).stdout


@pytest.mark.gp_changes
def test_an_order_that_leaves_scope_leaves_the_queue(bench: Workbench) -> None:
    bench.loader("push")
    bench.execute("update gp.SOP10100 set VOIDSTTS = 1 where rtrim(SOPNUMBE) = 'ORDST2270'")
    bench.loader("push")
    entries = {entry["key"]: entry for entry in bench.loader("retry", "list", "--all").data["queue"]}
    assert entries["ORDST2270"]["resolution"] == "left_scope"


def test_status_lists_runs_and_one_run_with_its_events(bench: Workbench) -> None:
    run_id = bench.loader("push", "--order", "ORDST2225", "--order", "ORDST2270").data["run_id"]
    assert bench.loader("status").data["queue"] == {"open": 1, "held": 0, "ignored": 0}
    content = bench.loader("status", "--run", run_id[:8]).data
    assert {event["key"]: event["outcome"] for event in content["events"]} == {
        "ORDST2225": "updated",
        "ORDST2270": "blocked",
    }
    assert bench.loader("status", "--run", "zzz").exit_code == 1


@pytest.mark.gp_changes
def test_orders_whose_numbers_differ_in_case_alone_are_blocked_and_the_others_go(bench: Workbench) -> None:
    two_of_one_number(bench)
    ended = bench.loader("push")
    assert ended.result("ORDST2225")["reason"] == ended.result("ordst2225")["reason"] == "order_ambiguous"
    assert ended.orders["created"] > 80
    assert sum(ended.orders.values()) == 119


def two_of_one_number(bench: Workbench) -> None:
    """GP with a case-sensitive collation can hold both."""
    bench.execute("update gp.SOP10100 set SOPNUMBE = rpad('ordst2225', 21, ' ') where rtrim(SOPNUMBE) = 'ORDST0007'")
    bench.execute("update gp.SOP10200 set SOPNUMBE = rpad('ordst2225', 21, ' ') where rtrim(SOPNUMBE) = 'ORDST0007'")


def test_json_and_quiet_work_before_and_after_the_command(bench: Workbench) -> None:
    assert bench.loader("--json", "status", json_output=False).data["runs"] == []
    assert bench.loader("status", "--json", "-q", json_output=False).data["runs"] == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("push", "--max-changes", "many"), 2),
        (("push", "no-such.plan"), 2),
        (("plan", "--order", "NOSUCH"), 1),
        (("frobnicate",), 2),
        (("status", "--target", "moon"), 2),
    ],
)
def test_errors_have_a_code_a_message_and_a_remedy(bench: Workbench, arguments: tuple[str, ...], code: int) -> None:
    ended = bench.loader(*arguments)
    assert ended.exit_code == code
    assert ended.error["message"]
    assert ended.error["remedy"]
    plain = bench.loader(*arguments, json_output=False)
    assert plain.exit_code == code
    assert "Traceback" not in plain.stderr
    assert plain.stderr.startswith("Error: ")


def test_commands_that_only_show_open_the_warehouse_for_reading(bench: Workbench) -> None:
    """A file that cannot be written is enough for them: DuckDB refuses every statement that would change it."""
    bench.loader("push")
    bench.release()
    asked: list[bool] = []

    def opened(target: Target, read_only: bool, for_run: bool) -> Warehouse:
        asked.append(read_only)
        return Sources().warehouse(target, read_only, for_run)

    bench.sources = replace(bench.sources, warehouse=opened)
    for command in (
        *(["check"], ["plan"], ["explain", "ORDST2225"], ["status"], ["status", "--max-age", "1d"]),
        *(["report", "--out", "-"], ["retry", "list"], ["xref", "check"]),
    ):
        asked.clear()
        ended = bench.loader(*command, json_output=command[0] != "report")
        assert ended.exit_code in (0, 1), (command, ended.stdout, ended.stderr)
        assert asked, command
        assert all(asked), command


@pytest.mark.parametrize(("access", "with_digests"), [("read", False), ("write", False), ("push", True)])
def test_only_a_push_has_the_warehouse_hash_what_is_staged(
    bench: Workbench, access: Literal["read", "write", "push"], with_digests: bool
) -> None:
    with bench.run(access) as run:
        (model,) = run.contract.models
        assert {bool(staged.digest) for staged in run.stage(model).records()} == {with_digests}


def test_explain_asks_for_gps_values_of_an_order_and_of_its_lines_at_once(bench: Workbench) -> None:
    asked: list[str] = []

    class Counting(DuckDBWarehouse):
        def query(self, sql: str, params: Sequence[object] = ()) -> list[Row]:
            if "audit_field_trace" in sql:
                asked.append(sql)
            return super().query(sql, params)

    bench.sources = replace(bench.sources, warehouse=lambda target, *_: Counting(target, read_only=True))
    told = bench.loader("explain", "ORDST2226").data
    values = [value for row in (told, *told["lines"]) for column in row["columns"] for value in column["gp_values"]]
    assert len(told["lines"]) == 3
    assert values.count("ORDST2226") == 2 + len(told["lines"])
    assert len(asked) == 1
