"""Every kind of table in one run: an empty CRM is complete after one push, whatever happens on the way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Built
from tests.promises.made_company import LIST, SETTING, MadeCompany, open_company
from tests.promises.mortal import Hasty
from tests.thorough import some, some_pairs

CREATED = {"account": 4, "uomschedule": 2, "product": 2, "productpricelevel": 2, "salesorder": 2, "invoice": 2}
WRITES: dict[str, Any] = {"kind": "write"}


@pytest.fixture
def company(built: Built, in_memory: Path) -> Iterator[MadeCompany]:
    with ExitStack() as stack:
        bench = open_company(stack, built, in_memory)
        bench.sources = replace(bench.sources, stop=lambda: Hasty(1000))
        yield bench


def created(counts: dict[str, dict[str, int]], word: str = "created") -> dict[str, int]:
    return {table: its[word] for table, its in counts.items()}


def assert_complete(company: MadeCompany) -> None:
    """CRM holds every staged row, and a push has nothing left to write."""
    again = company.loader("push")
    assert (again.exit_code, again.data["requests"]["write"]) == (0, 0), again.stdout
    assert created(again.data["tables"], "unchanged") == CREATED
    units = sorted((row["name"], row["quantity"]) for row in company.crm.rows("uom"))
    assert units == [("Box", 12), ("Case", 144), ("Each", 1), ("Foot", 1), ("Spool", 500)]
    products = [(row["productnumber"], row["statecode"], row["statuscode"]) for row in company.crm.rows("product")]
    assert sorted(products) == [("BOLT", 0, 1), ("WIRE", 0, 1)]
    assert company.named("account", "accountnumber") == ["A-HEAD", "B-BRANCH", "LONE", "Z-REGION"]
    assert company.parents() == {"A-HEAD": None, "B-BRANCH": "Z-REGION", "LONE": None, "Z-REGION": "A-HEAD"}
    assert company.named("salesorder") == ["O1", "O2"]
    assert len(company.crm.rows("salesorderdetail")) == 3
    invoices = {row["name"]: (row["statecode"], row["statuscode"]) for row in company.crm.rows("invoice")}
    assert invoices == {"I1": (2, 100001), "O2": (0, 4)}
    assert len(company.crm.rows("invoicedetail")) == 2
    assert len(company.crm.rows("productpricelevel")) == 2


@pytest.mark.parametrize(("starts_active", "sop_mode"), some_pairs([True, False], [True, False], 2))
def test_an_empty_crm_is_complete_after_one_push(company: MadeCompany, starts_active: bool, sop_mode: bool) -> None:
    company.crm.organization(**{SETTING: starts_active, "issopintegrationenabled": sop_mode})
    planned = company.loader("plan")
    assert planned.exit_code == 0, planned.stdout
    ended = company.loader("push")
    assert ended.exit_code == 0, ended.stdout
    assert created(planned.data["tables"], "create") == created(ended.data["tables"]) == CREATED
    assert created(ended.data["tables"], "skipped") == {**dict.fromkeys(CREATED, 0), "product": 1, "account": 1}
    assert planned.data["lines"]["create"] == ended.data["lines"]["create"] == 8
    assert ended.orders["created"] == sum(CREATED.values())
    assert_complete(company)


def test_a_plan_of_an_empty_crm_is_what_a_push_of_the_plan_file_does(company: MadeCompany, tmp_path: Path) -> None:
    path = tmp_path / "all.plan"
    assert company.loader("plan", "--out", str(path)).exit_code == 0
    planned = {(entry["table"], entry["key"]) for entry in json.loads(path.read_text())["records"]}
    ended = company.loader("push", str(path))
    assert ended.exit_code == 0, ended.stdout
    assert {(row["table"], row["key"]) for row in ended.data["results"]} == planned
    assert created(ended.data["tables"]) == CREATED
    assert_complete(company)


def test_max_changes_counts_what_the_push_then_writes(company: MadeCompany) -> None:
    refused = company.loader("push", "--max-changes", "13")
    assert refused.exit_code == 7
    told = "4 accounts, 2 unit schedules, 2 products, 2 prices, 2 orders, 2 invoices would be created or updated"
    assert told in refused.error["message"]
    assert company.crm.rows("account") == []
    ended = company.loader("push", "--max-changes", "14")
    assert (ended.exit_code, created(ended.data["tables"])) == (0, CREATED), ended.stdout
    assert_complete(company)


def test_off_is_off(company: MadeCompany) -> None:
    """A table alone is read and written as if there were no others."""
    ended = company.loader("push", "--table", "uomschedule")
    assert list(ended.data["tables"]) == ["uomschedule"]
    assert company.crm.rows("account") == []


@pytest.mark.parametrize(
    ("batch_size", "number"),
    some([*(("1000", number) for number in range(9)), *(("1", number) for number in range(16))], 7),
)
def test_a_reply_lost_after_commit_leaves_no_second_record_and_no_half_one(
    company: MadeCompany, batch_size: str, number: int
) -> None:
    company.settings["CRM_BATCH_SIZE"] = batch_size
    company.crm.faults.reset_after_commit(1, **WRITES, skip=number)
    ended = company.loader("push")
    assert ended.exit_code == 0, ended.stdout
    assert created(ended.data["tables"]) == CREATED
    assert_complete(company)


@pytest.mark.parametrize("number", some(range(16), 6))
def test_a_run_that_ends_anywhere_is_completed_by_the_next(company: MadeCompany, number: int) -> None:
    """Writes are applied, and nobody hears of it; then CRM is gone."""
    company.settings["CRM_BATCH_SIZE"] = "1"
    company.crm.faults.reset_after_commit(1, **WRITES, skip=number)
    company.crm.faults.unavailable(None, **WRITES, skip=number + 1)
    first = company.loader("push")
    assert first.exit_code in (0, 3, 5), first.stdout
    company.crm.faults.clear()
    ended = company.loader("push")
    assert ended.exit_code == 0, ended.stdout
    assert_complete(company)


# ---------------------------------------------------------------- rows that wait for others


def outcome(ended: Any, table: str, key: str) -> tuple[str, str | None, str]:
    (row,) = [row for row in ended.data["results"] if (row["table"], row["key"]) == (table, key)]
    return row["outcome"], row["reason"], row["message"]


def test_what_needs_a_record_that_stays_out_says_so(company: MadeCompany) -> None:
    company.execute("update crm_account set name = ?, parentaccountid = 'NOBODY' where accountnumber = 'Z-REGION'", "R")
    planned, ended = company.loader("plan"), company.loader("push")
    assert ended.exit_code == 3
    assert outcome(ended, "account", "Z-REGION")[:2] == ("blocked", "parent_account_not_found")
    branch = outcome(ended, "account", "B-BRANCH")
    assert branch[:2] == ("blocked", "parent_account_not_found")
    assert "accountnumber 'Z-REGION': account Z-REGION stays out as parent_account_not_found" in branch[2]
    order = outcome(ended, "salesorder", "O1")
    assert order[:2] == ("blocked", "account_not_found")
    assert "account B-BRANCH stays out as parent_account_not_found" in order[2]
    told = {(row["table"], row["key"]): (row["reason"], row["message"]) for row in planned.data["plans"]}
    assert told["salesorder", "O1"] == order[1:]
    assert created(planned.data["tables"], "blocked") == created(ended.data["tables"], "blocked")
    assert company.row("invoice", name="I1").get("salesorderid") is None

    company.execute("update crm_account set parentaccountid = 'A-HEAD' where accountnumber = 'Z-REGION'")
    healed = company.loader("push")
    assert healed.exit_code == 0, healed.stdout
    assert healed.data["tables"]["invoice"]["updated"] == 1
    assert_complete(company)


def test_what_crm_refuses_is_named_by_those_that_need_it(company: MadeCompany) -> None:
    company.crm.faults.error(None, method="POST", path="^products$", code="0x80040265", message="No.", kind="write")
    ended = company.loader("push")
    assert outcome(ended, "product", "BOLT")[:2] == ("failed", "crm_rejected")
    assert "product BOLT stays out as crm_rejected (No." in outcome(ended, "salesorder", "O1")[2]
    company.crm.faults.clear()
    assert company.loader("push").exit_code == 0
    assert_complete(company)


def test_records_that_name_each_other_are_blocked_and_so_is_what_hangs_on_them(company: MadeCompany) -> None:
    company.execute("update crm_account set parentaccountid = 'B-BRANCH' where accountnumber = 'A-HEAD'")
    company.execute("update crm_account set parentaccountid = 'A-HEAD' where accountnumber = 'LONE'")
    ended = company.loader("push")
    for key in ("A-HEAD", "B-BRANCH", "Z-REGION"):
        assert outcome(ended, "account", key)[:2] == ("blocked", "account_loop")
        assert "A-HEAD, B-BRANCH, Z-REGION" in outcome(ended, "account", key)[2]
    lone = outcome(ended, "account", "LONE")
    assert lone[:2] == ("blocked", "parent_account_not_found")
    assert "account A-HEAD stays out as account_loop" in lone[2]
    assert company.crm.rows("account") == []


def test_an_inactive_record_that_crm_has_is_changed_and_one_that_it_lacks_is_not_found(company: MadeCompany) -> None:
    company.execute("update crm_salesorderdetail set productid = 'OLD', uomid = 'Each', uomid__schedule = 'EACH'")
    ended = company.loader("push")
    reason = outcome(ended, "salesorder", "O1")
    assert reason[:2] == ("blocked", "product_not_found")
    assert "product OLD stays out as inactive" in reason[2]
    company.execute("update crm_product set statecode = 1, statuscode = 2, statecode__gp_inactive = 1")
    retired = company.loader("push", "--table", "product")
    assert retired.data["tables"]["product"] == {
        **dict.fromkeys(("created", "unchanged", "blocked", "failed"), 0),
        "updated": 2,
        "skipped": 1,
    }
    assert {row["statecode"] for row in company.crm.rows("product")} == {1}
    company.execute("update crm_product set statecode = 0, statuscode = 1, statecode__gp_inactive = 0, name = 'New'")
    back = company.loader("push", "--table", "product")
    assert (back.exit_code, back.orders["updated"], back.orders["created"]) == (0, 2, 1), back.stdout
    assert {(row["statecode"], row["name"]) for row in company.crm.rows("product")} == {(0, "New")}


# ---------------------------------------------------------------- adoption


def typed(company: MadeCompany, name: str, zip_code: str | None = "10001", **columns: object) -> str:
    return company.crm.insert("account", {"name": name, "address1_postalcode": zip_code, **columns})


def test_an_account_that_was_typed_by_hand_becomes_the_staged_one(company: MadeCompany) -> None:
    id_ = typed(company, "head OFFICE")
    typed(company, "Head office", "99999")
    planned = company.loader("plan")
    company.crm.faults.reset_after_commit(1, **WRITES)
    ended = company.loader("push")
    assert ended.exit_code == 0, ended.stdout
    assert (ended.data["tables"]["account"]["updated"], ended.data["tables"]["account"]["created"]) == (1, 3)
    assert created(planned.data["tables"], "update") == created(ended.data["tables"], "updated")
    (row,) = [row for row in ended.data["results"] if row["key"] == "A-HEAD"]
    assert [warning["code"] for warning in row["warnings"]] == ["account_adopted"]
    assert row["crm_id"] == id_
    adopted = company.row("account", accountnumber="A-HEAD")
    assert (adopted["accountid"], adopted["name"]) == (id_, "Head office")
    assert company.parents()["Z-REGION"] == "A-HEAD"
    assert company.loader("push").data["requests"]["write"] == 0


def test_of_several_accounts_that_could_be_it_none_is_taken(company: MadeCompany) -> None:
    typed(company, "Head office")
    typed(company, "Head office")
    ended = company.loader("push")
    assert outcome(ended, "account", "A-HEAD")[:2] == ("blocked", "account_ambiguous")
    assert "2 accounts without accountnumber" in outcome(ended, "account", "A-HEAD")[2]
    assert company.named("account", "accountnumber") == ["LONE"]


def test_an_account_that_two_staged_ones_would_take_is_taken_by_none(company: MadeCompany) -> None:
    company.execute("update crm_account set name = 'Twin', address1_postalcode = null where accountnumber <> 'GONE'")
    typed(company, "Twin", None)
    ended = company.loader("push", "--table", "account")
    assert outcome(ended, "account", "A-HEAD")[:2] == ("blocked", "account_ambiguous")
    assert outcome(ended, "account", "LONE")[:2] == ("blocked", "account_ambiguous")
    assert company.named("account", "accountnumber") == []


def test_what_is_sent_at_create_only_is_never_compared(company: MadeCompany) -> None:
    seller, other = (
        company.crm.insert("systemuser", {"fullname": name, "new_gpsalespersonid": name}) for name in ("SUE", "TOM")
    )
    company.execute("update crm_account set ownerid = 'SUE' where accountnumber = 'LONE'")
    company.execute("update crm_account set ownerid = 'NOBODY' where accountnumber = 'A-HEAD'")
    ended = company.loader("push")
    assert ended.exit_code == 0, ended.stdout
    assert company.owner("LONE") == seller
    (row,) = [row for row in ended.data["results"] if row["key"] == "A-HEAD"]
    assert [warning["code"] for warning in row["warnings"]] == ["owner_not_found"]
    shared = {each["key"]: each["share_with"] for each in ended.data["results"] if each["table"] == "salesorder"}
    assert shared["O2"] == f"systemuser:{seller}"
    company.execute("update crm_account set ownerid = 'TOM' where accountnumber = 'LONE'")
    again = company.loader("push")
    assert (again.data["requests"]["write"], again.data["results"][0]["warnings"]) == (0, [])
    assert company.owner("LONE") != other


# ---------------------------------------------------------------- closing


def end(company: MadeCompany, statecode: int = 3, statuscode: int = 100001) -> None:
    """GP transfers O2, with other content than CRM has."""
    company.execute("delete from crm_salesorder where name = 'O2'")
    company.execute("delete from crm_salesorderdetail where salesorderid = 'O2'")
    company.execute(
        "insert into crm_salesorder_ended values ('O2', 'LONE', ?, 'Final', ?, ?, 'O2')", LIST, statecode, statuscode
    )
    company.execute("insert into crm_salesorderdetail_ended values ('O2', 2, 0, 'WIRE', 'Foot', 'CABLE', 8, 1, 2)")


ACTIONS = {(3, 100001): "FulfillSalesOrder", (2, 4): "CancelSalesOrder", (4, 100003): None}
"""State and status of an order that ended, and the action that closes it so in CRM."""


@pytest.mark.parametrize(
    ("state", "how"), some_pairs(ACTIONS, [(True, True), (False, True), (True, False), (False, False)], 3)
)
def test_an_order_gets_its_final_content_and_is_closed_with_it(
    company: MadeCompany, state: tuple[int, int], how: tuple[bool, bool]
) -> None:
    sop_mode, lost = how
    action = ACTIONS[state]
    company.crm.organization(issopintegrationenabled=sop_mode)
    assert company.loader("push").exit_code == 0
    end(company, *state)
    planned = company.loader("plan")
    if lost:
        company.crm.faults.reset_after_commit(1, **WRITES)
    ended = company.loader("push")
    assert (ended.exit_code, ended.data["requests"]["write"]) == (0, 1), ended.stdout
    assert created(planned.data["tables"], "update")["salesorder"] == 1
    assert ended.data["tables"]["salesorder"] == {
        "created": 0, "updated": 1, "unchanged": 1, "skipped": 0, "blocked": 0, "failed": 0,
    }  # fmt: skip
    order = company.row("salesorder", name="O2")
    assert (order["description"], order["statecode"], order["statuscode"]) == ("Final", *state)
    lines = company.lines_of("salesorderdetail", "salesorderid", order["salesorderid"])
    assert [(line["lineitemnumber"], line["quantity"]) for line in lines] == [(2, 8)]
    assert len(company.crm.rows("orderclose")) == bool(action)
    again = company.loader("push")
    assert (again.exit_code, again.data["requests"]["write"]) == (0, 0), again.stdout
    assert again.data["tables"]["salesorder"]["skipped"] == 0, "what is closed is not the model's business"


def test_a_closing_that_crm_refuses_leaves_the_content_as_it_was(company: MadeCompany) -> None:
    assert company.loader("push").exit_code == 0
    end(company)
    company.crm.faults.error(None, path="^FulfillSalesOrder", code="0x80040265", message="No.", kind="write")
    ended = company.loader("push")
    assert outcome(ended, "salesorder", "O2")[:2] == ("failed", "crm_rejected")
    order = company.row("salesorder", name="O2")
    assert (order["description"], order["statecode"] in (0, 1)) == ("Two", True)


def test_a_number_that_gp_uses_again_is_the_open_order(company: MadeCompany) -> None:
    assert company.loader("push").exit_code == 0
    company.execute("insert into crm_salesorder_ended values ('O2', 'LONE', ?, 'Old', 3, 100001, 'O2')", LIST)
    again = company.loader("push")
    assert (again.data["requests"]["write"], again.data["tables"]["salesorder"]["unchanged"]) == (0, 2)


def test_a_paid_invoice_that_changes_is_reopened_and_paid_again(company: MadeCompany) -> None:
    assert company.loader("push").exit_code == 0
    company.execute("update crm_invoicedetail set quantity = 5 where invoiceid = 'I1'")
    company.crm.faults.reset_after_commit(1, **WRITES)
    ended = company.loader("push")
    assert (ended.exit_code, ended.orders["updated"], ended.data["requests"]["write"]) == (0, 1, 1), ended.stdout
    invoice = company.row("invoice", name="I1")
    assert (invoice["statecode"], invoice["statuscode"]) == (2, 100001)
    (line,) = company.lines_of("invoicedetail", "invoiceid", invoice["invoiceid"])
    assert line["quantity"] == 5
    assert_complete(company)


# ---------------------------------------------------------------- lines that CRM makes


def test_a_schedule_is_completed_by_the_next_run(company: MadeCompany) -> None:
    company.crm.faults.error(None, path="^uoms$", code="0x80040265", message="No.", kind="write")
    first = company.loader("push", "--table", "uomschedule")
    assert (first.exit_code, first.orders["failed"]) == (3, 2), first.stdout
    assert company.named("uom") == ["Each", "Foot"]
    company.crm.faults.clear()
    assert company.loader("push").exit_code == 0
    assert_complete(company)


def test_units_of_crms_own_stay(company: MadeCompany) -> None:
    assert company.loader("push").exit_code == 0
    schedule, base = company.row("uomschedule", name="EACH"), company.row("uom", name="Each")
    company.crm.insert(
        "uom",
        {
            "name": "Pallet",
            "quantity": 1000,
            "uomscheduleid": {"table": "uomschedule", "id": schedule["uomscheduleid"]},
            "baseuom": {"table": "uom", "id": base["uomid"]},
        },
    )
    company.execute("delete from crm_uom where name = 'Case'")
    company.execute("delete from crm_productpricelevel where uomid = 'Case'")
    again = company.loader("push")
    assert (again.exit_code, again.data["requests"]["write"]) == (0, 0), again.stdout
    assert company.named("uom") == ["Box", "Case", "Each", "Foot", "Pallet", "Spool"]


@pytest.mark.parametrize("base", ["Piece", "Box"])
def test_a_schedule_that_crm_made_with_another_base_unit_is_blocked(company: MadeCompany, base: str) -> None:
    """Also where CRM has a unit of that name, which is built on another one."""
    assert company.loader("push").exit_code == 0
    company.execute("update crm_uomschedule set baseuomname = ? where name = 'EACH'", base)
    company.execute("delete from crm_uom where name = ?", base)
    company.execute("update crm_uom set name = ? where name = 'Each'", base)
    company.execute("update crm_uom set baseuom = ? where baseuom = 'Each'", base)
    company.execute("update crm_invoicedetail set uomid = ? where uomid = 'Each'", base)
    ended = company.loader("push", "--table", "uomschedule")
    assert outcome(ended, "uomschedule", "EACH")[:2] == ("blocked", "base_unit_differs")


# ---------------------------------------------------------------- (table, key)


def test_a_key_of_several_columns_is_one_record(company: MadeCompany) -> None:
    assert company.loader("push").exit_code == 0
    company.execute("update crm_productpricelevel set amount = 10 where uomid = 'Box'")
    ended = company.loader("push")
    assert [
        (row["table"], row["key"], row["outcome"]) for row in ended.data["results"] if row["outcome"] == "updated"
    ] == [("productpricelevel", f"{LIST} / BOLT / Box", "updated")]
    assert sorted(row["amount"] for row in company.crm.rows("productpricelevel")) == [10, 99]
    assert_complete(company)


def test_one_number_of_two_tables_is_two_records(company: MadeCompany) -> None:
    both = company.loader("plan", "--order", "O2")
    assert [(row["table"], row["key"]) for row in both.data["plans"]] == [("salesorder", "O2"), ("invoice", "O2")]
    one = company.loader("plan", "--order", "O2", "--table", "invoice")
    assert [row["table"] for row in one.data["plans"]] == ["invoice"]
    assert company.loader("plan", "--order", "O9").error["code"] == "not_found"
    assert company.loader("plan", "--table", "lead").exit_code == 2

    unclear = company.loader("retry", "hold", "O2")
    assert unclear.exit_code == 2
    assert "invoice, salesorder" in unclear.error["message"]
    held = company.loader("retry", "hold", "O2", "--table", "invoice")
    assert [(row["table"], row["key"]) for row in held.data["queue"]] == [("invoice", "O2")]
    ended = company.loader("push")
    assert created(ended.data["tables"]) == {**CREATED, "invoice": 1}
    assert outcome(ended, "invoice", "O2")[:2] == ("skipped", "held")


def test_an_undo_goes_the_other_way_round_and_deletes_nothing(company: MadeCompany) -> None:
    first = company.loader("push")
    kept = company.loader("undo", "--run", first.data["run_id"], "--yes")
    assert {row["outcome"] for row in kept.data["records"]} == {"refused"}
    undone = company.loader("undo", "--run", first.data["run_id"], "--cancel-created", "--yes")
    told = {(row["table"], row["key"]): (row["outcome"], row["message"]) for row in undone.data["records"]}
    assert told["salesorder", "O2"][0] == told["account", "LONE"][0] == told["product", "BOLT"][0] == "cancelled"
    assert "CRM has no state that cancels a unit schedule" in told["uomschedule", "EACH"][1]
    acted = [row["table"] for row in undone.data["records"] if row["outcome"] == "cancelled"]
    assert list(dict.fromkeys(acted)) == ["salesorder", "product", "account"]
    assert {row["statecode"] for row in company.crm.rows("salesorder")} == {2}
    assert {row["statecode"] for row in company.crm.rows("account")} == {1}
    assert company.loader("push").data["requests"]["write"] == 0, "what was put back is held"
