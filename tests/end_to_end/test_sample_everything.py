"""With every integration on, each case ends as sample/cases.csv says, and CRM then holds what is staged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from loader.push.building import run_dbt
from sample import company, organisation, story
from sample.cases import cases
from tests.conftest import Built, Ended, Workbench, open_bench
from tests.project.dbt_runs import is_of_orders

KEYS = {
    **{"account": "accountnumber", "product": "productnumber", "systemuser": "fullname"},
    **{"uom": "name", "uomschedule": "name", "salesorder": "name", "invoice": "name"},
}
FULFILLED, CANCELED = (3, 100001), (2, 4)
ENDED = {
    **{"ORDST2350": FULFILLED, "ORDST2356": FULFILLED, "ORDST2358": FULFILLED},
    **{"ORDST2353": CANCELED, "ORDST2355": CANCELED, "ORDST2357": CANCELED},
}
AFTERWARDS: list[tuple[str, str, str, object]] = [
    ("product", "TYPE-2-DISCONT", "producttypecode", 1),
    ("product", "PHSY-DEL-0001", "producttypecode", 1),
    ("product", "TYPE-4-CHARGE", "producttypecode", 2),
    ("product", "SERVICE-HR", "producttypecode", 3),
    ("product", "TYPE-6-FEE", "producttypecode", 4),
    ("product", "NO-DESCRIPTION", "name", "NO-DESCRIPTION"),
    ("product", "NO-SELLING-UNIT", "defaultuomid", "Foot"),
    ("product", "ON-PALLETS", "defaultuomid", "Pallet"),
    ("product", "ON-PALLETS", "stockweight", Decimal("12.5")),
    ("account", "GROUPHQ00001", "parentaccountid", None),
    ("account", "GROUPEAST001", "parentaccountid", "GROUPHQ00001"),
    ("account", "GROUPSHOP001", "parentaccountid", "GROUPEAST001"),
    ("account", "GROUPHQ00001", "ownerid", "Greg Evans"),
    ("account", "GROUPEAST001", "ownerid", "Nancy Buchanan"),
    ("account", "GROUPSHOP001", "ownerid", "GP Integration"),
    ("account", "GROUPSHOP001", "creditonhold", True),
    ("account", "GROUPHQ00001", "telephone2", "312-555-0198 x42"),
    ("account", "GROUPHQ00001", "creditlimit", Decimal(250_000)),
    ("account", "CREDITNONE01", "creditlimit", Decimal(0)),
    ("account", "CREDITANY001", "creditlimit", None),
    ("account", "CREDITNONE01", "emailaddress1", None),
    ("account", "AARONFIT0001", "emailaddress1", "sales@aaronfitz.example"),
    ("account", "AARONFIT0001", "websiteurl", "www.aaronfitz.example"),
    ("account", "ADAMPARK0001", "emailaddress1", "desk@adampark.example"),
    ("account", "MAILONLY0001", "emailaddress1", "office@mailonly.example"),
    ("account", "NOWHERE00001", "address2_name", None),
    ("account", "NONAME000001", "name", "NONAME000001"),
    ("account", "BLUEYOND0001", "ownerid", "Erin Johnson"),
    ("account", "BLUEYOND0001", "telephone1", "303-555-0188 x567"),
    ("invoice", "INVST4001", "statuscode", 4),
    ("invoice", "INVST4001", "salesorderid", "ORDST2252"),
    ("invoice", "INVST4002", "statuscode", 100001),
    ("invoice", "INVST4003", "statuscode", 100002),
    ("invoice", "INVST4004", "statuscode", 100001),
    ("invoice", "INVST4005", "statuscode", 100003),
    ("invoice", "INVST4006", "statuscode", 100003),
    ("invoice", "INVST4007", "salesorderid", "ORDST2254"),
    ("invoice", "INVST4008", "salesorderid", None),
    ("invoice", "INVST4009", "salesorderid", None),
    ("invoice", "FULST4010", "salesorderid", "ORDST2253"),
    ("invoice", "INVST4012", "duedate", None),
    ("invoice", "INVST4012", "datedelivered", None),
    ("invoice", "INVST4014", "statuscode", 4),
]
"""What the notes of cases.csv say, held against CRM."""

GP_CHANGES = (
    "update gp.SOP10100 set VOIDSTTS = 1 where rtrim(SOPNUMBE) = 'ORDST2243'",
    "update gp.SOP10200 set QTYCANCE = QUANTITY where rtrim(SOPNUMBE) = 'ORDST2246'",
    "delete from gp.SOP10100 where rtrim(SOPNUMBE) = 'ORDST0007'",
    "delete from gp.SOP10200 where rtrim(SOPNUMBE) = 'ORDST0007'",
    "update gp.SOP10100 set CUSTNMBR = rpad('COHOWINE0001', 15, ' '), CUSTNAME = rpad('Coho Winery', 65, ' ')"
    " where rtrim(SOPNUMBE) = 'ORDST1026' and SOPTYPE = 2",
    "update gp.RM20101 set CURTRXAM = 0 where rtrim(DOCNUMBR) = 'INVST4001' and RMDTYPAL = 1",
    "update gp.SOP30300 set QUANTITY = 3 where rtrim(SOPNUMBE) = 'INVST4002'",
    "update gp.SOP30200 set DOCDATE = '2027-02-27' where rtrim(SOPNUMBE) = 'INVST4014'",
    "update gp.RM00101 set CUSTNAME = rpad('Trusted no More', 65, ' ') where rtrim(CUSTNMBR) = 'CREDITANY001'",
    "update gp.RM00101 set SLPRSNID = rpad('TERRITORY 6', 15, ' ') where rtrim(CUSTNMBR) = 'GROUPHQ00001'",
    "update gp.RM00101 set INACTIVE = 1 where rtrim(CUSTNMBR) = 'CREDITNONE01'",
    "update gp.IV00101 set UOMSCHDL = rpad('EACH', 11, ' ') where rtrim(ITEMNMBR) = 'NO-SELLING-UNIT'",
    "update gp.IV00101 set INACTIVE = 1 where rtrim(ITEMNMBR) = 'TYPE-6-FEE'",
)
LATER: list[tuple[str, str, str, object]] = [
    ("salesorder", "ORDST2240", "statecode", 3),
    ("salesorder", "ORDST2243", "statecode", 2),
    ("salesorder", "ORDST2246", "statecode", 2),
    ("salesorder", "ORDST0007", "statecode", 2),
    ("salesorder", "ORDST1026", "statecode", 0),
    ("salesorder", "ORDST1026", "customerid", "COHOWINE0001"),
    ("invoice", "INVST2240", "salesorderid", "ORDST2240"),
    ("invoice", "INVST2240", "statuscode", 4),
    ("invoice", "INVST4001", "statuscode", 100001),
    ("invoice", "INVST4002", "statuscode", 100001),
    ("invoice", "INVST4014", "statuscode", 4),
    ("account", "CREDITANY001", "name", "Trusted no More"),
    ("account", "GROUPHQ00001", "ownerid", "Greg Evans"),
    ("account", "CREDITNONE01", "statecode", 1),
    ("product", "NO-SELLING-UNIT", "defaultuomid", "Each"),
    ("product", "NO-SELLING-UNIT", "defaultuomscheduleid", "EACH"),
    ("product", "TYPE-6-FEE", "statecode", 1),
]


@pytest.fixture
def whole(built_whole: Built, tmp_path: Path) -> Iterator[Workbench]:
    """Every integration on, and a CRM that is as good as empty."""
    with ExitStack() as stack:
        yield open_bench(stack, built_whole, tmp_path, snapshot=organisation.empty())


def results_of(ended: Ended) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["table"], row["key"]): row for row in ended.data["results"]}


def wrong_cases(push: str, ended: Ended, bench: Workbench) -> list[tuple[str, ...]]:
    results = results_of(ended)
    wrong: list[tuple[str, ...]] = []
    with bench.run() as run:
        models = [model for model in run.contract.models if model.meta.create == "always"]
        staged = {(model.table, key) for model in models for key in run.keys(model)}
    units = {" / ".join(map(str, row)) for row in bench.query("select uomscheduleid, name from crm_uom")}
    for case in cases(push):
        its = (case["table"], case["key"])
        expected = (case["outcome"], case["reason"])
        if case["table"] == "uom":
            found: tuple[str, str] = ("created" if case["key"] in units else "not_staged", "")
        elif its in results:
            found = (results[its]["outcome"], results[its]["reason"] or "")
        else:
            found = ("unchanged" if its in staged else "not_staged", "")
        warnings = {warning["code"] for warning in results[its]["warnings"]} if its in results else set()
        if found != expected or not set(filter(None, case["warnings"].split(";"))) <= warnings:
            wrong.append((case["case"], *its, *expected, *found, ";".join(sorted(warnings))))
    return wrong


def assert_crm_is_as_staged(ended: Ended, bench: Workbench) -> None:
    """Value by value, but for what did not go; and a second push writes nothing."""
    results = results_of(ended)
    apart = [its for its, row in results.items() if row["outcome"] in ("blocked", "failed", "skipped")]
    verified = bench.verify(apart, [its for its, row in results.items() if row["outcome"] == "created"])
    assert verified.differences == []
    for table, counts in ended.data["tables"].items():
        assert verified.records[table] >= counts["created"] + counts["updated"]
    again = bench.loader("push")
    assert again.data["requests"]["write"] == 0
    assert again.orders["failed"] == 0


def held(bench: Workbench, table: str, key: str, column: str) -> object:
    """A value in CRM; of a look-up, the name or the number of the row that it names."""
    (row,) = (row for row in bench.crm.rows(table) if row[KEYS[table]] == key)
    value = row[column]
    if isinstance(value, dict):
        (value,) = (
            found[KEYS[value["table"]]]
            for found in bench.crm.rows(value["table"])
            if found[bench.crm.id_column(value["table"])] == value["id"]
        )
    return value


def test_one_push_fills_an_empty_crm(whole: Workbench) -> None:
    ended = whole.loader("push")
    assert ended.exit_code == 3, ended.stderr
    assert wrong_cases("empty", ended, whole) == []
    assert_crm_is_as_staged(ended, whole)
    wrong = [(*each, held(whole, *each[:3])) for each in AFTERWARDS if held(whole, *each[:3]) != each[3]]
    assert wrong == []
    packed = next(row["uomscheduleid"] for row in whole.crm.rows("uomschedule") if row["name"] == "PACKED")
    units = {row["name"]: row["quantity"] for row in whole.crm.rows("uom") if row["uomscheduleid"]["id"] == packed}
    assert units == {"Each": 1, "Box": 6, "Carton": 60, "Pallet": 2400}


def test_everything_goes_to_an_organisation_that_has_most_of_it(built_whole: Built, tmp_path: Path) -> None:
    with ExitStack() as stack:
        bench = open_bench(stack, built_whole.as_tables, tmp_path)
        ended = bench.loader("push")
        assert ended.exit_code == 3, ended.stderr
        assert wrong_cases("full", ended, bench) == []
        assert_crm_is_as_staged(ended, bench)
        states = {row["name"]: (row["statecode"], row["statuscode"]) for row in bench.crm.rows("salesorder")}
        assert {order: states[order] for order in ENDED} == ENDED
        assert states["WEB-1001"] == (0, 1)
        assert held(bench, "product", "INACTIVE-OLD", "statecode") == 1
        assert held(bench, "product", "BACK-IN-STOCK", "statecode") == 0
        assert held(bench, "product", "BACK-IN-STOCK", "name") == "Pager"
        assert held(bench, "account", "INACTIVEOLD1", "statuscode") == 2
        closings = {row["salesorderid"]["id"] for row in bench.crm.rows("orderclose")}
        assert closings == {row["salesorderid"] for row in bench.crm.rows("salesorder") if row["name"] in ENDED}


def test_what_changes_in_gp_later_arrives_and_closes(whole: Workbench, bare_project: Path) -> None:
    whole.loader("push")
    warehouse = whole.warehouse()
    company.transfer_order(warehouse, story.TRANSFERRED, story.INVOICE)
    for change in GP_CHANGES:
        assert warehouse.execute(change), change
    warehouse.close()
    variables = json.dumps({**story.VARS, "deleted_orders": "cancel"})
    command = ["run", "--select", "crm_salesorder_deleted", "--project-dir", str(bare_project), "--vars", variables]
    whole.release()
    exit_code, output = run_dbt(command, {**whole.environ, "DBT_TARGET_PATH": str(whole.path.parent / "target")})
    assert exit_code == 0, output
    ended = whole.loader("push")
    assert wrong_cases("later", ended, whole) == []
    wrong = [(*each, held(whole, *each[:3])) for each in LATER if held(whole, *each[:3]) != each[3]]
    assert wrong == []
    (invoice,) = (row["invoiceid"] for row in whole.crm.rows("invoice") if row["name"] == "INVST4002")
    quantities = [row["quantity"] for row in whole.crm.rows("invoicedetail") if row["invoiceid"]["id"] == invoice]
    assert quantities == [3]
    assert whole.loader("push").data["requests"]["write"] == 0


def test_the_orders_sql_is_the_same_whatever_is_switched_on(built: Built, built_whole: Built) -> None:
    """So their unit tests need not be run with everything switched on as well."""

    def of_orders(company: Built) -> dict[str, str]:
        return {
            name: text for name, text in company.dbt.compiled.items() if name.endswith(".sql") and is_of_orders(name)
        }

    assert len(of_orders(built)) == 7
    assert of_orders(built) == of_orders(built_whole)
