"""The sample company with every integration on: an all but empty CRM is complete after one push, and stays so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from sample import organisation
from tests.conftest import Built, Workbench, open_bench
from tests.promises.whole_company import (
    ADOPTED,
    BRANCH,
    CREATED,
    ENDING,
    HEAD,
    OPEN,
    REGION,
    SETTING,
    SKIPPED,
    UNUSED,
    UPDATED,
    Whole,
    open_few,
)
from tests.thorough import some_pairs

PLANNED = {"create": "created", "update": "updated", "unchanged": "unchanged", "skipped": "skipped"}


@pytest.fixture
def few(built_whole: Built, in_memory: Path) -> Iterator[Whole]:
    with ExitStack() as stack:
        yield open_few(stack, built_whole, in_memory)


@pytest.fixture
def company(built_whole: Built, in_memory: Path) -> Iterator[Workbench]:
    """The whole sample company."""
    with ExitStack() as stack:
        yield open_bench(stack, built_whole.as_tables, in_memory, snapshot=organisation.empty())


@pytest.mark.parametrize(("born_active", "sop_mode"), some_pairs([True, False], [True, False], 2))
def test_the_whole_sample_arrives_as_planned_and_once(company: Workbench, sop_mode: bool, born_active: bool) -> None:
    company.crm.organization(**{SETTING: born_active, "issopintegrationenabled": sop_mode})
    planned = company.loader("plan")
    assert planned.exit_code == 0, planned.stderr
    ended = company.loader("push")
    assert ended.exit_code == 3, ended.stdout + ended.stderr
    assert list(ended.data["tables"]) == ["account", "uomschedule", "product", "salesorder", "invoice"]
    for table, counts in ended.data["tables"].items():
        assert planned.data["tables"][table] == {
            **{word: counts[past] for word, past in PLANNED.items()},
            "blocked": counts["blocked"],
        }, table
        assert counts["failed"] == 0
        assert counts["created"] > 0
    assert planned.data["lines"] == ended.data["lines"]
    told = {(row["table"], row["key"]): (row["reason"], row["message"]) for row in planned.data["plans"]}
    apart = {
        (row["table"], row["key"]): (row["reason"], row["message"])
        for row in ended.data["results"]
        if row["outcome"] in ("blocked", "skipped")
    }
    assert apart == {place: why for place, why in told.items() if why[0]}

    again = company.loader("push")
    assert again.data["requests"]["write"] == 0
    assert again.orders["unchanged"] == ended.orders["created"] + ended.orders["updated"]
    made = {(row["table"], row["key"]) for row in ended.data["results"] if row["outcome"] == "created"}
    verified = company.verify(apart.keys(), made)
    assert verified.differences == []
    assert verified.records["product"] == ended.data["tables"]["product"]["created"]
    assert {row["statecode"] for row in company.crm.rows("product")} == {0}


@pytest.mark.parametrize(("born_active", "sop_mode"), some_pairs([True, False], [True, False], 2))
def test_the_few_arrive_as_planned_and_once(few: Whole, sop_mode: bool, born_active: bool) -> None:
    few.crm.organization(**{SETTING: born_active, "issopintegrationenabled": sop_mode})
    planned = few.loader("plan")
    ended = few.push()
    assert (planned.exit_code, ended.exit_code) == (0, 0), planned.stderr + ended.stdout
    assert few.count(planned, "create") == few.count(ended, "created") == CREATED
    assert few.count(planned, "update") == few.count(ended, "updated") == UPDATED
    assert few.count(planned, "skipped") == few.count(ended, "skipped") == SKIPPED
    few.assert_complete()


def test_what_waits_for_a_parent_is_told_by_its_noun_and_goes_with_it(few: Whole) -> None:
    few.execute("update crm_account set parentaccountid = 'NOBODY' where accountnumber = ?", HEAD)
    pushed = few.loader("push", json_output=False)
    assert pushed.exit_code == 3
    for key in (HEAD, REGION, BRANCH):
        assert f"! account {key} blocked: account_not_found" in pushed.stdout
    assert f"! order {OPEN} blocked: account_not_found" in pushed.stdout
    assert f"account {BRANCH} stays out as account_not_found" in pushed.stdout
    listed = few.loader("retry", "list", json_output=False).stdout
    assert listed.startswith("RECORD ")
    assert f"account {HEAD} " in listed
    assert "What waits: invoices " in listed
    assert "records blocked or failed" in few.loader("status", "--max-blocked", "0").data["message"]

    few.execute("update crm_account set parentaccountid = null where accountnumber = ?", HEAD)
    healed = few.push()
    assert healed.exit_code == 0, healed.stdout
    few.assert_complete()

    (run_id,) = few.query("select run_id from main_journal.sync_run order by started_at limit 1")[0]
    undone = few.loader("undo", "--run", str(run_id), "--cancel-created", "--plan", json_output=False).stdout
    assert "product 100XLG would be cancelled" in undone
    assert "account CELLULAR0001 would be cancelled" in undone
    assert "unit schedule EACH refused: CRM has no state that cancels a unit schedule" in undone


def test_an_item_that_changes_its_schedule_and_one_that_crm_retired_are_made_equal(few: Whole) -> None:
    assert few.push().exit_code == 0
    few.execute(
        "update crm_product set defaultuomscheduleid = 'HOURS', defaultuomid = 'Hour' where productnumber = ?", UNUSED
    )
    retired = few.row("product", productnumber="100XLG")["productid"]
    few.crm.update("product", retired, {"statecode": 1, "statuscode": 2})
    few.execute("update crm_product set name = 'New name' where productnumber = '100XLG'")
    ended = few.push("--table", "product")
    assert (ended.exit_code, ended.orders["updated"]) == (0, 2), ended.stdout
    few.assert_complete()


def test_an_order_that_ended_is_closed_though_an_item_of_it_is_retired(few: Whole) -> None:
    assert few.push().exit_code == 0
    few.transfer(ENDING)
    ((item, quantity),) = few.query(
        "select productid, quantity from crm_salesorderdetail_ended where salesorderid = ? limit 1", ENDING
    )
    few.execute(
        "update crm_product set statecode = 1, statuscode = 2, statecode__gp_inactive = 1 where productnumber = ?", item
    )
    ended = few.push()
    its = few.result_of(ended, "salesorder", ENDING)
    assert its["outcome"] == "updated", its
    assert "product_inactive" in {warning["code"] for warning in its["warnings"]}
    (order,) = few.in_crm(ENDING)
    assert (order["statecode"], order["statuscode"]) == (3, 100001)
    assert quantity in {line["quantity"] for line in order["lines"]}
    assert few.row("product", productnumber=item)["statecode"] == 1


def test_a_schedule_that_crm_builds_on_another_unit_waits(few: Whole) -> None:
    schedule = few.crm.insert("uomschedule", {"name": "CABLE", "baseuomname": "Metre"})
    unit = {"name": "Metre", "uomscheduleid": {"table": "uomschedule", "id": schedule}, "quantity": "1"}
    few.crm.insert("uom", unit)
    pushed = few.push()
    its = few.result_of(pushed, "uomschedule", "CABLE")
    assert (its["outcome"], its["reason"]) == ("blocked", "base_unit_differs"), its
    assert "without the base unit Foot" in its["message"]


def test_units_that_crm_has_of_its_own_stay(few: Whole) -> None:
    own = few.crm.insert("uomschedule", {"name": "Default Unit", "baseuomname": "Primary Unit"})
    few.crm.insert(
        "uom", {"name": "Primary Unit", "uomscheduleid": {"table": "uomschedule", "id": own}, "quantity": "1"}
    )
    assert few.push().exit_code == 0
    schedule = few.row("uomschedule", name="EACH")["uomscheduleid"]
    base = next(row for row in few.crm.rows("uom") if row["uomscheduleid"]["id"] == schedule and not row["baseuom"])
    few.crm.insert(
        "uom",
        {
            "name": "Pallet",
            "uomscheduleid": {"table": "uomschedule", "id": schedule},
            "baseuom": {"table": "uom", "id": base["uomid"]},
            "quantity": "999",
        },
    )
    before = {(row["uomscheduleid"]["id"], row["name"]) for row in few.crm.rows("uom")}
    few.execute("update crm_uom set quantity = quantity + 1 where uomscheduleid = 'CABLE' and quantity is not null")
    assert few.push().exit_code == 0
    assert {(row["uomscheduleid"]["id"], row["name"]) for row in few.crm.rows("uom")} == before
    assert {(schedule, "Pallet"), (own, "Primary Unit")} <= before


def test_of_several_accounts_that_could_be_adopted_none_is(few: Whole) -> None:
    ((name, postcode),) = few.query(
        "select name, address1_postalcode from crm_account where accountnumber = ?", ADOPTED
    )
    owner = {"table": "systemuser", "id": organisation.record_id("systemuser", "sandra.martinez")}
    few.crm.insert("account", {"name": name, "address1_postalcode": postcode, "ownerid": owner})
    pushed = few.push()
    its = few.result_of(pushed, "account", ADOPTED)
    assert (its["outcome"], its["reason"]) == ("blocked", "account_ambiguous"), its
    assert [row["accountnumber"] for row in few.crm.rows("account") if row["name"] == name] == [None, None]


def test_an_order_that_gp_deleted_is_cancelled_where_that_is_wanted(few: Whole) -> None:
    assert few.push().exit_code == 0
    few.unstage(ENDING)
    few.execute("insert into crm_salesorder_deleted values (?, 2, 4)", ENDING)
    assert few.push().exit_code == 0
    (order,) = few.in_crm(ENDING)
    assert (order["statecode"], order["statuscode"]) == (2, 4)
    assert order["lines"], "nothing of it is deleted"
    assert few.query("select is_closed from main_journal.crm_xref where record_key = ?", ENDING) == [(1,)]
    assert few.push().data["requests"]["write"] == 0


def test_a_new_salesperson_does_not_take_over_an_account(few: Whole) -> None:
    assert few.push().exit_code == 0
    owner = few.row("account", accountnumber="CELLULAR0001")["ownerid"]
    assert owner["id"] == organisation.record_id("systemuser", "sandra.martinez")
    few.execute("update crm_account set ownerid = 'TERRITORY 5' where accountnumber = 'CELLULAR0001'")
    assert few.push().data["requests"]["write"] == 0
    assert few.row("account", accountnumber="CELLULAR0001")["ownerid"] == owner
