"""A push compares what moved in GP or in CRM since the last one, and ends as one that compares everything."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loader.contract import Contract
from loader.dataverse.client import Client
from loader.dataverse.describe import read_tables
from loader.dataverse.metadata import Table
from loader.dataverse.tracking import Moved, begin_tracking, read_moves
from loader.warehouse.connection import Warehouse
from loader.warehouse.journal import Journal
from loader.warehouse.journal.here import utc_now
from tests.conftest import Built
from tests.promises.conftest import NEW, Handful, folder_in_memory
from tests.promises.made_company import KeptCompany, MadeCompany, open_company

pytestmark = pytest.mark.xdist_group("by change")


@pytest.fixture(scope="module")
def kept(built: Built) -> Iterator[KeptCompany]:
    """Pushed until a run has nothing of its own to read again."""
    with ExitStack() as stack:
        company = open_company(stack, built, stack.enter_context(folder_in_memory()))
        company.settings["CRM_FULL_COMPARE"] = "daily"
        for _ in range(3):
            told = pushed(company)
        assert compared(told) == 0
        yield KeptCompany(company)


@pytest.fixture
def company(kept: KeptCompany) -> Iterator[MadeCompany]:
    company = kept.again()
    yield company
    company.release()
    assert company.crm.crashes == []


def track_changes(company: MadeCompany, *, on: bool) -> None:
    """Of price lists; and CRM's metadata, which runs of a test share otherwise, are read by each."""
    company.sources = replace(company.sources, tables=read_tables)
    company.crm.track_changes("pricelevel", on=on)


def pushed(company: MadeCompany, *arguments: str) -> dict[str, Any]:
    ended = company.loader("push", *arguments)
    assert ended.exit_code in (0, 3), ended.stderr
    return ended.data


def compared(told: dict[str, Any]) -> int:
    """How many records were compared that could have moved."""
    assert told["comparison"]["kind"] == "changes", told["comparison"]
    return int(told["comparison"]["compared"])


def why_full(told: dict[str, Any]) -> str:
    assert told["comparison"]["kind"] == "full"
    assert told["comparison"]["compared"] == sum(told["records"].values())
    return str(told["comparison"]["why"])


def test_a_run_that_finds_nothing_new_reads_what_moved_and_no_record(company: MadeCompany) -> None:
    before = len(company.crm.requests)
    told = pushed(company, "--table", "salesorder")
    assert told["comparison"] == {"kind": "changes", "why": None, "compared": 0}
    assert told["records"] == {"created": 0, "updated": 0, "unchanged": 2, "skipped": 0, "blocked": 0, "failed": 0}
    assert told["requests"]["write"] == 0
    assert told["requests"]["read"] <= 10
    assert not [each for each in company.crm.requests[before:] if "PropertyValues" in each.path]


def test_what_moved_in_gp_is_compared(company: MadeCompany) -> None:
    company.execute("update crm_salesorder set description = 'Later' where name = 'O1'")
    company.execute("update crm_salesorderdetail set quantity = 8 where salesorderid = 'O2'")
    told = pushed(company)
    assert (compared(told), told["records"]["updated"]) == (3, 2), "the third one is the first one's invoice"
    assert company.row("salesorder", name="O1")["description"] == "Later"
    told = pushed(company)
    assert (compared(told), told["records"]["updated"]) == (3, 0), "what the run wrote is read once more"
    assert compared(pushed(company)) == 0


EDITS: dict[str, Callable[[MadeCompany], object]] = {
    "a field": lambda company: company.crm.update("salesorder", order(company), {"description": "Mine"}),
    "an order": lambda company: company.crm.delete("salesorder", order(company)),
    "a line's field": lambda company: company.crm.update("salesorderdetail", line(company), {"quantity": 5}),
    "a line": lambda company: company.crm.delete("salesorderdetail", line(company)),
}


@pytest.mark.parametrize("what", EDITS)
def test_what_somebody_changed_or_deleted_in_crm_is_as_in_gp_again(company: MadeCompany, what: str) -> None:
    EDITS[what](company)
    told = pushed(company)
    assert compared(told) == 2, "the order and its invoice"
    assert told["records"]["created"] + told["records"]["updated"] == 1
    company.verify(apart={("account", "GONE"), ("product", "OLD"), ("salesorder", "OLD-1"), ("invoice", "I1")})
    pushed(company)
    assert compared(pushed(company)) == 0


def test_lines_that_the_loader_deletes_are_known_by_their_ids_when_crm_tells_of_them(company: MadeCompany) -> None:
    company.execute("delete from crm_salesorderdetail where salesorderid = 'O1' and lineitemnumber = 2")
    assert pushed(company)["lines"]["delete"] == 1
    told = pushed(company)
    assert (compared(told), told["records"]["updated"]) == (2, 0)
    assert compared(pushed(company)) == 0


def test_a_line_that_somebody_added_goes(company: MadeCompany) -> None:
    ours = {"salesorderid": {"table": "salesorder", "id": order(company)}, "lineitemnumber": 99}
    company.crm.insert("salesorderdetail", {**ours, "isproductoverridden": True, "productdescription": "Mine"})
    told = pushed(company)
    assert (compared(told), told["lines"]["delete"]) == (2, 1)


def test_a_unit_that_moved_to_another_group_concerns_the_one_that_it_left(company: MadeCompany) -> None:
    """CRM tells of a unit as it is now; whose it was, the journal knows, although no client can move one."""
    unit = company.row("uom", name="Box")
    group = str(company.row("uomschedule", name="CABLE")["uomscheduleid"])
    company.crm.update("uom", str(unit["uomid"]), {"uomscheduleid": {"table": "uomschedule", "id": group}})
    told = pushed(company)
    assert told["lines"]["create"] == 1
    assert pushed(company, "--full")["requests"]["write"] == 0


def test_another_owner_of_an_account_concerns_its_orders(company: MadeCompany) -> None:
    users = [each["systemuserid"] for each in company.crm.rows("systemuser")]
    owner = next(each for each in users if each != company.owner("LONE"))
    company.crm.update("account", company.row("account", accountnumber="LONE")["accountid"], {"ownerid": user(owner)})
    told = pushed(company)
    assert told["tables"]["salesorder"]["updated"] == 1, "it is shared with the new owner"
    shared = "select shared_with from main_journal.crm_xref where crm_table = 'salesorder' and record_key = 'O2'"
    assert company.query(shared) == [(f"systemuser:{owner}",)]


def test_a_price_list_that_is_renamed_or_gone_concerns_the_records_that_name_it(company: MadeCompany) -> None:
    listed = company.row("pricelevel", name="EXTPRCLVL")["pricelevelid"]
    company.crm.update("pricelevel", listed, {"name": "Renamed"})
    told = pushed(company)
    assert told["tables"]["salesorder"]["blocked"] == told["records"]["blocked"] - 4 == 2
    company.crm.update("pricelevel", listed, {"name": "EXTPRCLVL"})
    told = pushed(company)
    assert told["records"]["blocked"] == 0


def test_a_row_that_was_missing_and_came_concerns_the_records_that_name_it(company: MadeCompany) -> None:
    """The invoice's order is left empty, without a warning, as long as CRM has none."""
    company.execute("insert into crm_salesorder values ('NONE', 'LONE', 'EXTPRCLVL', 'New', 0, 1)")
    told = pushed(company)
    assert told["tables"]["salesorder"]["created"] == told["tables"]["invoice"]["updated"] == 1


def test_skipped_records_are_counted_as_such_without_being_compared(company: MadeCompany) -> None:
    """An account and a product that are inactive, and an order that somebody has cancelled."""
    company.crm.update("salesorder", order(company), {"statecode": 2, "statuscode": 4})
    told = pushed(company)
    assert (compared(told), told["records"]["skipped"]) == (2, 3), "its invoice may have to do with it"
    again = pushed(company)
    assert (compared(again), again["tables"]) == (0, told["tables"])
    planned = company.loader("plan").data
    assert (compared(planned), planned["records"]["skipped"]) == (0, 3)
    assert planned["reasons"] == {"closed_in_crm": 1, "inactive": 2}
    full = company.loader("plan", "--full").data
    assert {name: full[name] for name in ("records", "reasons", "causes")} == {
        name: planned[name] for name in ("records", "reasons", "causes")
    }
    company.crm.update("salesorder", order(company), {"statecode": 0, "statuscode": 1})
    assert pushed(company)["records"]["skipped"] == 2
    assert last_said(company, "salesorder", "O1") == "unchanged"


def test_a_thousand_skipped_records_cost_no_request(company: MadeCompany) -> None:
    company.execute(
        "insert into crm_product select 'OLD-' || number, 'Old', 'EACH', 'Each', 2, 1, 1, 2, 1"
        " from range(1200) as old(number)"
    )
    assert pushed(company)["tables"]["product"]["skipped"] == 1201
    told = pushed(company)
    assert (compared(told), told["tables"]["product"]["skipped"]) == (0, 1201)
    assert told["requests"]["read"] <= 10


def test_of_a_row_that_moved_nothing_is_kept_but_what_was_asked_for(company: MadeCompany) -> None:
    """After a first push, all that it wrote has moved."""
    with company.run() as context:
        table = context.tables["salesorder"]
        (link,) = begin_tracking(context.client, [(table, ["salesorderid", "name"])]).values()
        company.crm.update("salesorder", order(company), {"description": "Mine"})
        moved = read_moves(context.client, {"salesorder": str(link)})[0]["salesorder"]
        assert isinstance(moved, Moved)
        assert list(moved.rows) == [{"salesorderid": order(company), "name": "O1"}]


def test_a_skipped_record_is_compared_when_crm_gets_it_or_gp_changes_it(company: MadeCompany) -> None:
    company.crm.insert("product", {"productnumber": "OLD", "name": "Mine", **units(company)})
    told = pushed(company)
    assert (told["tables"]["product"]["skipped"], told["tables"]["product"]["updated"]) == (0, 1)
    company.execute("update crm_account set statecode__gp_inactive = 0, statecode = 0, statuscode = 1")
    assert pushed(company)["tables"]["account"]["created"] == 1


def test_a_skipped_record_adopts_one_that_somebody_enters_without_a_number(company: MadeCompany) -> None:
    company.crm.insert("account", {"name": "Gone", "address1_postalcode": "10004"})
    told = pushed(company)
    assert (told["tables"]["account"]["skipped"], told["tables"]["account"]["updated"]) == (0, 1)
    assert company.row("account", name="Gone")["accountnumber"] == "GONE"


def test_a_skipped_record_is_blocked_when_crm_gets_one_that_it_takes_for_it(company: MadeCompany) -> None:
    company.crm.insert("account", {"accountnumber": "GÓNE", "name": "Somebody else"})
    assert pushed(company)["tables"]["account"]["blocked"] == 1


def test_a_record_with_a_warning_is_not_compared_again_until_something_moves(company: MadeCompany) -> None:
    company.execute("update crm_salesorder set description = repeat('x', 2001) where name = 'O1'")
    assert pushed(company)["records"]["updated"] == 1
    told = company.loader("push")
    assert [each["code"] for each in told.result("O1")["warnings"]] == ["value_truncated"]
    assert compared(pushed(company)) == 0
    planned = company.loader("plan").data
    assert (compared(planned), planned["warnings"]) == (0, {"value_truncated": 1})
    company.crm.update("salesorder", order(company), {"description": "Mine"})
    assert pushed(company)["records"]["updated"] == 1
    assert len(company.row("salesorder", name="O1")["description"]) == 2000


def test_a_warning_that_ends_is_told_no_more(handful: Handful) -> None:
    """The orders stay as they are; the account that they name is active again."""
    order = handful.push().result(NEW[0])["key"]
    handful.push()
    (account,) = {row["customerid"]["id"] for row in handful.in_crm(order)}
    handful.execute("update crm_salesorder set description = description || '.' where name = ?", order)
    handful.crm.update("account", account, {"statecode": 1, "statuscode": 2})
    assert handful.push().orders["updated"] == 1
    for state, status, said in ((0, 1, None), (1, 2, "account_inactive"), (0, 1, None)):
        handful.crm.update("account", account, {"statecode": state, "statuscode": status})
        for _ in range(2):
            assert handful.push().orders["updated"] == 0
        warned = handful.query("select warning from audit_record_warnings where record_key = ?", order)
        assert warned == ([(said,)] if said else [])


def test_the_report_says_of_what_is_not_compared_what_it_said_when_it_was(handful: Handful) -> None:
    handful.execute("update crm_salesorder set description = repeat('x', 2001) where name = ?", NEW[0])
    for _ in range(2):
        handful.push()
    handful.push("--full")
    full = handful.loader("report").data
    assert handful.push().data["comparison"]["kind"] == "changes"
    told = handful.loader("report").data
    assert [each["reason"] for each in told["warnings"]] == ["value_truncated"]
    assert {name: told[name] for name in ("outcomes", "warnings")} == {
        name: full[name] for name in ("outcomes", "warnings")
    }


def test_what_stays_out_unchanged_is_told_to_those_that_name_it(company: MadeCompany) -> None:
    company.execute("update crm_salesorderdetail set productid = 'OLD', uomid = 'Each' where salesorderid = 'O2'")
    for _ in range(2):
        told = company.loader("push")
        assert "product OLD stays out as inactive" in told.result("O2")["message"]


def test_while_a_record_waits_by_which_others_are_found_the_others_are_not_all_compared(company: MadeCompany) -> None:
    company.execute("insert into crm_uomschedule values ('NEW', 'Piece', 'Without a base unit')")
    company.execute("insert into crm_uom values ('NEW', 'Piece', 1, null, null), ('NEW', 'Pair', 0, 2, 'None')")
    for _ in range(2):
        pushed(company)
    told = pushed(company)
    assert (compared(told), told["records"]["blocked"]) == (1, 1)


def test_a_record_that_is_blocked_is_compared_until_it_is_not(company: MadeCompany) -> None:
    company.execute("update crm_salesorder set customerid = 'NOBODY' where name = 'O1'")
    for _ in range(2):
        told = pushed(company)
        assert (compared(told), told["records"]["blocked"]) == (2, 1), "its invoice may have to wait for it"
    company.execute("update crm_salesorder set customerid = 'B-BRANCH' where name = 'O1'")
    told = pushed(company)
    assert (compared(told), told["records"]["unchanged"]) == (1, 14)
    assert compared(pushed(company)) == 0


def test_an_order_that_is_held_is_left_alone_though_nothing_moved(company: MadeCompany) -> None:
    assert company.loader("retry", "hold", "O1", "--table", "salesorder").exit_code == 0
    assert pushed(company)["tables"]["salesorder"]["skipped"] == 1
    assert company.loader("retry", "release", "O1", "--table", "salesorder").exit_code == 0
    assert pushed(company)["tables"]["salesorder"]["skipped"] == 0


def test_an_order_that_comes_back_unchanged_is_compared(company: MadeCompany) -> None:
    """CRM tells once that it moved, and at that time nobody asked for it."""
    company.execute("update crm_salesorder set name = 'AWAY' where name = 'O1'")
    company.execute("update crm_salesorderdetail set salesorderid = 'AWAY' where salesorderid = 'O1'")
    pushed(company)
    company.crm.update("salesorder", order(company), {"description": "Mine"})
    pushed(company)
    company.execute("update crm_salesorder set name = 'O1' where name = 'AWAY'")
    company.execute("update crm_salesorderdetail set salesorderid = 'O1' where salesorderid = 'AWAY'")
    pushed(company)
    assert company.row("salesorder", name="O1")["description"] == "One"


@pytest.mark.parametrize("when", ["after it left GP", "while it was held"])
def test_that_somebody_closed_an_order_that_left_gp_is_known(company: MadeCompany, when: str) -> None:
    """CRM tells of it once. Nobody looks at a held order; when it leaves, it is looked at."""
    if when == "while it was held":
        assert company.loader("retry", "hold", "O2", "--table", "salesorder").exit_code == 0
        company.crm.update("salesorder", order(company, "O2"), {"statecode": 2, "statuscode": 4})
        pushed(company)
    company.execute("delete from crm_salesorderdetail where salesorderid = 'O2'")
    company.execute("delete from crm_salesorder where name = 'O2'")
    assert pushed(company)["comparison"]["kind"] == "changes"
    closed = "select is_closed from main_journal.crm_xref where crm_table = 'salesorder' and record_key = 'O2'"
    if when == "after it left GP":
        assert company.query(closed) == [(0,)]
        company.crm.update("salesorder", order(company, "O2"), {"statecode": 2, "statuscode": 4})
        assert pushed(company)["comparison"]["kind"] == "changes"
    assert company.query(closed) == [(1,)]


def test_a_plan_compares_what_a_push_would_and_keeps_nothing(company: MadeCompany) -> None:
    company.execute("update crm_salesorder set description = 'Later' where name = 'O1'")
    state = company.query("select * from main_journal.sync_state order by all")
    for _ in range(2):
        told = company.loader("plan").data
        assert (compared(told), told["records"]["update"]) == (2, 1), "the order and its invoice"
        assert sum(told["records"].values()) == 16
    assert company.query("select * from main_journal.sync_state order by all") == state
    assert why_full({**company.loader("plan", "--full").data}) == "--full was given"


def test_links_stay_where_they_were_unless_a_run_settles_everything(company: MadeCompany) -> None:
    state = company.query("select * from main_journal.sync_state order by all")
    company.crm.update("salesorder", order(company), {"description": "Mine"})
    assert pushed(company, "--table", "invoice")["records"]["updated"] == 0
    assert pushed(company, "--order", "O2")["comparison"]["why"] == "records were named"
    assert company.query("select * from main_journal.sync_state order by all") == state
    company.crm.faults.error(None, method="GET", path="salesorders", code="0x80040203", status=400)
    assert company.loader("push").exit_code == 1
    company.crm.faults.clear()
    assert company.query("select * from main_journal.sync_state order by all") == state
    assert pushed(company)["tables"]["salesorder"]["updated"] == 1


# ------------------------------------------------------------------------------------------ when everything is compared


def test_the_first_run_compares_everything(built: Built, tmp_path: Path) -> None:
    with ExitStack() as stack:
        company = open_company(stack, built, tmp_path)
        company.settings["CRM_FULL_COMPARE"] = "daily"
        assert why_full(pushed(company)) == "no run has settled everything yet"


def manifest(company: MadeCompany, change: Callable[[dict[str, Any]], object]) -> None:
    path = company.target_path / "manifest.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content["nodes"])
    path.write_text(json.dumps(content), encoding="utf-8")


def state_says(company: MadeCompany, part: str, content: str) -> None:
    assert company.execute("update main_journal.sync_state set content = ? where part = ?", content, part)


def contract(company: MadeCompany) -> None:
    def rename(nodes: dict[str, Any]) -> None:
        nodes["model.made.crm_salesorder"]["config"]["meta"]["crm"]["noun"] = "sales order"

    manifest(company, rename)


def metadata(company: MadeCompany) -> None:
    """A column's text may be shorter than before."""

    def shortened(client: Client, names: Iterable[str]) -> dict[str, Table]:
        tables = dict(read_tables(client, names))
        orders = tables["salesorder"]
        description = replace(orders.attributes["description"], max_length=1999)
        return {**tables, "salesorder": replace(orders, attributes={**orders.attributes, "description": description})}

    company.sources = replace(company.sources, tables=shortened)


def caller(company: MadeCompany) -> None:
    """Another user who is an integration user, too."""
    other = next(each["systemuserid"] for each in company.crm.rows("systemuser") if not each.get("isintegrationuser"))
    company.crm.update("systemuser", other, {"isintegrationuser": True})
    company.settings["CRM_ACCESS_TOKEN"] = company.crm.token_for(other)


def restore_warehouse(company: MadeCompany) -> None:
    backup = company.path.with_suffix(".backup")
    shutil.copy(company.path, backup)
    backup.replace(company.path)


def a_day(company: MadeCompany) -> None:
    """The clock goes on."""

    def later(warehouse: Warehouse, contract: Contract) -> Journal:
        tomorrow = dt.timedelta(hours=25)
        return Journal(warehouse, contract.journal, clock=lambda: utc_now() + tomorrow)

    company.sources = replace(company.sources, journal=later)


def seeds(company: MadeCompany) -> None:
    state_says(company, "seeds", "before")

    def another(nodes: dict[str, Any]) -> None:
        nodes["seed.made.codes"] = {
            "name": "codes",
            "resource_type": "seed",
            "checksum": {"checksum": "2"},
            "columns": {},
        }
        nodes["model.made.crm_salesorder"]["depends_on"] = {"nodes": ["seed.made.codes"]}

    manifest(company, another)


def sql(company: MadeCompany) -> None:
    def compiled(nodes: dict[str, Any], text: str) -> None:
        for name in ("crm_salesorder", "crm_salesorderdetail"):
            nodes[f"model.made.{name}"]["compiled_code"] = text

    manifest(company, lambda nodes: compiled(nodes, "select 'before'"))
    pushed(company)
    manifest(company, lambda nodes: compiled(nodes, "select 'after'"))


REASONS: dict[str, tuple[Callable[[MadeCompany], object], str]] = {
    "contract": (contract, "the contract changed: meta.crm or the columns of the model"),
    "seeds": (seeds, "a seed changed"),
    "SQL and vars": (sql, "the models' SQL or vars changed"),
    "metadata": (metadata, "CRM's metadata changed"),
    "settings": (lambda company: company.crm.organization(pricingdecimalprecision=3), "CRM's settings changed"),
    "SOP mode": (lambda company: company.crm.organization(issopintegrationenabled=False), "SOP mode changed"),
    "caller": (caller, "the loader signs in as somebody else"),
    "version": (lambda company: state_says(company, "loader", "0.0.1"), "the loader's version changed"),
    "warehouse": (restore_warehouse, "the warehouse is another one, or was restored"),
    "a day": (a_day, " UTC (CRM_FULL_COMPARE)"),
    "always": (lambda company: company.settings.update(CRM_FULL_COMPARE="always"), "CRM_FULL_COMPARE is always"),
    "untracked": (
        lambda company: track_changes(company, on=False),
        "CRM does not track changes of pricelevel",
    ),
    "expired": (lambda company: company.crm.expire_links(), "CRM does not tell any more what moved in"),
}


@pytest.mark.parametrize("what", REASONS)
def test_everything_is_compared_and_why_is_said(company: MadeCompany, what: str) -> None:
    company.crm.update("salesorder", order(company), {"description": "Mine"})
    change, why = REASONS[what]
    change(company)
    told = pushed(company)
    assert told["comparison"]["kind"] == "full"
    assert why in told["comparison"]["why"]
    assert company.row("salesorder", name="O1")["description"] == "One"


def test_everything_is_compared_as_long_as_a_table_is_not_tracked_and_check_says_what_to_do(
    company: MadeCompany,
) -> None:
    track_changes(company, on=False)
    told = company.loader("check", json_output=False).stdout
    assert "CRM does not track changes of pricelevel: every push compares all records" in told
    assert "Switch on Track changes" in told
    for _ in range(2):
        assert pushed(company)["comparison"]["why"] == "CRM does not track changes of pricelevel"
    track_changes(company, on=True)
    assert "CRM tracks changes of all tables" in company.loader("check", json_output=False).stdout
    pushed(company)
    assert compared(pushed(company)) == 0


@pytest.mark.parametrize("what", ["expired", "contract", "a day", "version"])
def test_once_everything_was_compared_it_goes_on_by_change(company: MadeCompany, what: str) -> None:
    REASONS[what][0](company)
    assert pushed(company)["comparison"]["kind"] == "full"
    assert compared(pushed(company)) == 0


def test_everything_is_compared_on_demand(company: MadeCompany) -> None:
    assert why_full(pushed(company, "--full")) == "--full was given"
    assert compared(pushed(company)) == 0


@pytest.mark.parametrize("since", ["the last run", "its links"])
def test_a_crm_that_was_restored_is_compared_as_a_whole(company: MadeCompany, since: str, tmp_path: Path) -> None:
    company.crm.save(tmp_path / "backup.json")
    company.execute("insert into crm_salesorder values ('O3', 'LONE', 'EXTPRCLVL', 'New', 0, 1)")
    for _ in range(2):
        pushed(company)
    if since == "the last run":  # CRM tells what moved as if nothing had happened
        company.crm.delete("salesorder", company.row("salesorder", name="O3")["salesorderid"])
        company.crm.store.tables["salesorder"].deleted.pop()
    else:
        company.crm.store.version -= 500
    told = pushed(company)
    assert told["comparison"]["kind"] == "full"
    assert ("restored" if since == "the last run" else "moved in") in told["comparison"]["why"]
    assert sorted(company.named("salesorder")) == ["O1", "O2", "O3"]


def last_said(company: MadeCompany, table: str, key: str) -> str:
    ((outcome,),) = company.query(
        "select sync_event.outcome from main_journal.sync_event left join main_journal.sync_run using (run_id)"
        " where crm_table = ? and record_key = ? order by run_no desc, event_no desc limit 1",
        table,
        key,
    )
    return str(outcome)


def units(company: MadeCompany) -> dict[str, Any]:
    """What a product needs."""
    group, unit = company.row("uomschedule", name="EACH"), company.row("uom", name="Each")
    return {
        "defaultuomscheduleid": {"table": "uomschedule", "id": group["uomscheduleid"]},
        "defaultuomid": {"table": "uom", "id": unit["uomid"]},
    }


def order(company: MadeCompany, name: str = "O1") -> str:
    return str(company.row("salesorder", name=name)["salesorderid"])


def line(company: MadeCompany) -> str:
    (found,) = [
        each
        for each in company.lines_of("salesorderdetail", "salesorderid", order(company))
        if each["lineitemnumber"] == 1
    ]
    return str(found["salesorderdetailid"])


def user(id_: str) -> dict[str, str]:
    return {"table": "systemuser", "id": id_}
