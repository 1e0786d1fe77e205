"""`loader check` of a company with every kind of table says what a push would meet, and nothing else."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Built
from tests.promises.made_company import NODES, MadeCompany, open_company


@pytest.fixture
def company(built: Built, tmp_path: Path) -> Iterator[MadeCompany]:
    with ExitStack() as stack:
        yield open_company(stack, built, tmp_path)


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


def test_privileges_are_those_that_a_push_of_these_tables_uses(company: MadeCompany) -> None:
    company.crm.deny(None, "prvCreateActivity", "prvDeleteUoM", "prvCreateUoMSchedule", "prvDeleteInvoice")
    assert told(company, "error") == "The caller lacks prvCreateActivity, prvCreateUoMSchedule, prvDeleteInvoice."
