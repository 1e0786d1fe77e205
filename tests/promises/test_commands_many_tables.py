"""The commands beside plan and push, in a company with every kind of table."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Built
from tests.promises.made_company import LIST, NODES, MadeCompany, open_company


@pytest.fixture
def company(built: Built, in_memory: Path) -> Iterator[MadeCompany]:
    with ExitStack() as stack:
        yield open_company(stack, built, in_memory)


def told(company: MadeCompany, *states: str) -> str:
    checked = company.loader("check")
    assert "findings" in (checked.data or {}), checked.stdout
    return "\n".join(each["text"] for each in checked.data["findings"] if each["state"] in states)


def test_what_the_push_will_create_counts_as_found(company: MadeCompany) -> None:
    """Against an empty CRM. Nobody has the sales rep, whom no table of the contract creates."""
    company.execute("update crm_account set ownerid = 'NOBODY' where accountnumber = 'LONE'")
    assert company.loader("check").exit_code == 0
    assert told(company, "warning").replace("SOP integration is off", "").count("not found") == 1
    fine = told(company, "ok")
    assert "5 accounts, 2 unit schedules, 3 products, 2 prices, 2 orders, 2 invoices are staged." in fine
    assert "crm_salesorder.customerid: account by accountnumber: all 2 found." in fine
    assert "crm_uom.baseuom: uom by name, uomscheduleid.name: all 2 found." in fine
    assert "crm_account.parentaccountid: account by accountnumber: all 2 found." in fine
    assert "crm_uomschedule: nothing but what CRM lacks keeps a unit schedule back." in fine
    assert "crm_invoice.salesorderid: salesorder by name: 1 not found, the column is left empty: NONE." in fine
    assert [request for request in company.crm.requests if request.writes] == []


def test_what_stays_out_is_not_found_and_named_by_its_noun(company: MadeCompany) -> None:
    company.execute("update crm_account set parentaccountid = 'NOBODY' where accountnumber = 'Z-REGION'")
    company.execute("update crm_invoice set customerid = 'NONE' where name = 'I1'")
    warnings = told(company, "warning")
    parents = "crm_account.parentaccountid: account by accountnumber: 2 not found"
    assert f"{parents}, their accounts are blocked: NOBODY, Z-REGION." in warnings
    assert "crm_salesorder.customerid: account by accountnumber: 1 not found, their orders are blocked: B-BRANCH." in (
        warnings
    )
    assert "their invoices are blocked: NONE." in warnings


def test_records_that_crm_does_not_have_are_none_of_a_model_that_never_creates(company: MadeCompany) -> None:
    fine = told(company, "ok")
    assert "2 orders" in fine, "OLD-1 is not staged: CRM never had it"
    assert company.loader("push").exit_code == 0
    company.execute("delete from crm_salesorder where name = 'O2'")
    company.execute("insert into crm_salesorder_ended values ('O2', 'X', 'Y', 'Final', 3, 100001, 'O2')")
    warnings = told(company, "warning")
    assert (
        "crm_salesorder_ended.customerid: account by accountnumber: 1 not found, their orders are blocked: X."
        in warnings
    )


def with_state(model: str, **words: Any) -> tuple[Any, ...]:
    nodes = copy.deepcopy(NODES)
    (node,) = [each for each in nodes if each["name"] == model]
    crm = node["config"]["meta"]["crm"]
    crm["state"] = {**crm["state"], **words}
    return nodes


CLOSE = {"name": "FulfillSalesOrder", "parameter": "OrderClose", "type": "orderclose", "bind": "salesorderid"}


@pytest.mark.parametrize(
    ("model", "words", "text"),
    [
        (
            "crm_salesorder_ended",
            {"actions": {"3": {**CLOSE, "name": "FinishSalesOrder"}}},
            "crm_salesorder_ended: state.actions.3: CRM has no action FinishSalesOrder.",
        ),
        (
            "crm_salesorder_ended",
            {"actions": {"3": {**CLOSE, "type": "orderend"}}},
            "crm_salesorder_ended: state.actions.3: CRM has no table orderend.",
        ),
        (
            "crm_salesorder_ended",
            {"actions": {"3": {**CLOSE, "bind": "orderid"}}},
            "crm_salesorder_ended: state.actions.3: orderclose has no look-up orderid to salesorder.",
        ),
        (
            "crm_salesorder_ended",
            {"actions": {"9": CLOSE}},
            "crm_salesorder_ended: state.actions.9: salesorder has no state 9.",
        ),
        (
            "crm_product",
            {"born": {"setting": "createproductsactive", "true": {"statecode": 0}, "false": {"statecode": 2}}},
            "crm_product.state.born: CRM's organisation has no setting createproductsactive.",
        ),
    ],
)
def test_what_crm_does_not_have_for_a_state_is_named(
    built: Built, tmp_path: Path, model: str, words: dict[str, Any], text: str
) -> None:
    with ExitStack() as stack:
        company = open_company(stack, built, tmp_path, with_state(model, **words))
        assert told(company, "error") == text


def test_a_model_that_does_not_fit_crm_is_not_planned_and_the_others_are(built: Built, tmp_path: Path) -> None:
    nodes = copy.deepcopy(NODES)
    (node,) = [each for each in nodes if each["name"] == "crm_account"]
    node["columns"] = {
        name.replace("telephone1", "shoesize"): {**column, "name": name.replace("telephone1", "shoesize")}
        for name, column in node["columns"].items()
    }
    with ExitStack() as stack:
        company = open_company(stack, built, tmp_path, nodes)
        warnings = told(company, "warning")
        assert "crm_account is not planned, because its columns do not fit CRM; the other models are." in warnings
        assert "crm_account.shoesize" in told(company, "error")
        fine = told(company, "ok")
        assert "crm_uom.baseuom: uom by name, uomscheduleid.name: all 2 found." in fine
        assert "crm_invoicedetail.productid: product by productnumber: all 2 found." in fine


def test_privileges_are_those_that_a_push_of_these_tables_uses(company: MadeCompany) -> None:
    company.crm.deny(None, "prvCreateActivity", "prvDeleteUoM", "prvCreateUoMSchedule", "prvDeleteInvoice")
    assert told(company, "error") == "The caller lacks prvCreateActivity, prvCreateUoMSchedule, prvDeleteInvoice."


# ---------------------------------------------------------------- explain, status, reconcile


def test_explain_shows_a_record_of_any_table(company: MadeCompany) -> None:
    unit = company.loader("explain", "each").data
    assert (unit["table"], unit["key"], unit["line_count"], unit["plan"]["action"]) == (
        "uomschedule",
        "EACH",
        3,
        "create",
    )
    price = company.loader("explain", f"{LIST} / BOLT / Case").data
    assert (price["table"], price["columns"][-1]["staged"]) == ("productpricelevel", 99.0)
    text = company.loader("explain", "LONE", json_output=False).stdout
    assert text.startswith("account LONE\n")


def test_explain_says_what_a_push_would_create_before_the_record(company: MadeCompany) -> None:
    """CRM is all but empty: the order's account, its parents, products and units come with the same push."""
    content = company.loader("explain", "O1").data
    assert (content["plan"]["action"], content["plan"]["reason"]) == ("create", None), content["plan"]
    first = {(each["table"], each["key"]) for each in content["first"]}
    assert first == {
        *(("account", key) for key in ("A-HEAD", "Z-REGION", "B-BRANCH")),
        *(("uomschedule", key) for key in ("CABLE", "EACH")),
        *(("product", key) for key in ("BOLT", "WIRE")),
    }
    text = company.loader("explain", "Z-REGION", json_output=False).stdout
    assert "A push would first create:\n  account A-HEAD\n" in text
    assert [request for request in company.crm.requests if request.writes] == []

    company.execute("update crm_account set parentaccountid = 'NOBODY' where accountnumber = 'Z-REGION'")
    blocked = company.loader("explain", "O1").data["plan"]
    assert (blocked["action"], blocked["reason"]) == ("block", "account_not_found")
    assert "account B-BRANCH stays out as" in blocked["message"]


def test_explain_asks_which_table_is_meant(company: MadeCompany) -> None:
    unclear = company.loader("explain", "O2")
    assert unclear.exit_code == 2
    assert "O2 is the key of records in several tables: salesorder, invoice" in unclear.error["message"]
    assert company.loader("explain", "O2", "--table", "invoice").data["table"] == "invoice"
    unknown = company.loader("explain", "O9", "--table", "account")
    assert (unknown.exit_code, unknown.error["code"]) == (1, "not_found")
    assert "Neither GP nor the journal knows the account O9." in unknown.error["message"]


def test_explain_shows_an_ended_order_while_crm_has_it_open(company: MadeCompany) -> None:
    assert company.loader("explain", "OLD-1").exit_code == 1, "CRM never had it, so no push will"
    assert company.loader("push").exit_code == 0
    company.execute("delete from crm_salesorder where name = 'O2'")
    company.execute("insert into crm_salesorder_ended values ('O2', 'LONE', ?, 'Final', 3, 100001, 'O2')", LIST)
    content = company.loader("explain", "O2", "--table", "salesorder").data
    assert (content["staged"], content["plan"]["action"]) == (True, "update")
    assert company.loader("push").exit_code == 0
    closed = company.loader("explain", "O2", "--table", "salesorder").data
    assert (closed["staged"], closed["plan"]) == (False, None)


def test_status_of_one_table_counts_and_lists_it_alone(company: MadeCompany) -> None:
    company.execute("update crm_account set parentaccountid = 'NOBODY' where accountnumber = 'LONE'")
    company.execute("update crm_invoice set customerid = 'NOBODY' where name = 'I1'")
    run_id = company.loader("push").data["run_id"]
    assert company.loader("status").data["queue"]["open"] == 4
    assert company.loader("status", "--table", "invoice").data["queue"]["open"] == 2
    events = company.loader("status", "--run", run_id, "--table", "invoice").data["events"]
    assert [(event["table"], event["key"]) for event in events] == [("invoice", "I1"), ("invoice", "O2")]
    assert company.loader("status", "--table", "lead").exit_code == 2
    assert company.loader("status", "--table", "invoice", "--max-age", "2h").exit_code == 2


def test_status_counts_what_waits_by_table(company: MadeCompany) -> None:
    company.execute("update crm_account set parentaccountid = 'NOBODY' where accountnumber = 'LONE'")
    company.execute("update crm_invoice set customerid = 'NOBODY' where name = 'I1'")
    assert company.loader("push").exit_code == 3
    status = company.loader("status").data
    assert {table: states["open"] for table, states in status["tables"].items()} == {
        "account": 1, "salesorder": 1, "invoice": 2
    }  # fmt: skip
    text = company.loader("status", json_output=False).stdout
    assert "Retry queue: 4 open, 0 held, 0 ignored.\n  accounts: 1 open, 0 held, 0 ignored\n" in text
    assert "  invoices: 2 open, 0 held, 0 ignored\n" in text
    probed = company.loader("status", "--max-blocked", "3")
    assert (probed.exit_code, probed.data["waiting_by_table"]) == (1, {"account": 1, "salesorder": 1, "invoice": 2})
    assert "4 of 16 records blocked or failed (1 account, 1 order, 2 invoices), more than 3" in probed.data["message"]


def test_reconcile_reads_every_table_once(company: MadeCompany) -> None:
    assert company.loader("push").exit_code == 0
    first = company.loader("reconcile").data
    assert (first["records"], first["lines"], first["not_in_crm"]) == (14, 10, 2), "GONE and OLD are not in CRM"
    company.execute('delete from "main_journal"."crm_xref"')
    again = company.loader("reconcile").data
    assert (again["records"], again["lines"], again["not_in_crm"]) == (14, 10, 2), "also what the journal does not know"
    rows = company.query(
        "select crm_table, record_key from main_journal.crm_snapshot_record where parent_crm_id is null"
    )
    assert ("productpricelevel", f"{LIST} / BOLT / Box") in rows
    assert sorted(key for table, key in rows if table == "salesorder") == ["O1", "O2"]
    assert len(rows) == len(set(rows))
    text = company.loader("reconcile", json_output=False).stdout
    told = "Read 4 accounts, 2 unit schedules, 2 products, 2 prices, 2 orders, 2 invoices with 10 lines from CRM"
    assert told in text
    assert "1 of 5 accounts are not there." in text
