"""`loader reconcile` lands CRM's side of the orders, and audit_crm_differences tells where it is not GP's."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from loader.contract import Column, ColumnMeta
from loader.push.reconciling import as_staged
from tests.conftest import Workbench

ORDER = "ORDST2226"


def differences(bench: Workbench, order: str) -> set[tuple[object, ...]]:
    """(line, difference, column, staged, CRM's, reason) of one order."""
    return set(
        bench.query(
            "select cast(line_key as int), difference, crm_column, staged_value, crm_value, reason"
            " from audit_crm_differences where crm_table = 'salesorder' and record_key = ?",
            order,
        )
    )


def crm_id(bench: Workbench, order: str) -> str:
    found: str = next(row["salesorderid"] for row in bench.crm.rows("salesorder") if row["name"] == order)
    return found


def test_after_a_push_every_difference_has_its_reason(bench: Workbench) -> None:
    bench.loader("push")
    ended = bench.loader("reconcile")
    assert ended.exit_code == 0, ended.stderr
    assert ended.data["requests"]["write"] == 0
    assert bench.query("select count(*) from audit_crm_differences where reason is null") == [(0,)]
    counted = dict(bench.query("select difference, count(*) from audit_crm_differences group by difference"))
    assert ended.data["differences"] == counted
    waiting = {row[0] for row in bench.query("select order_number from audit_order_status where status = 'waiting'")}
    lacking = {
        row[0]
        for row in bench.query(
            "select record_key from audit_crm_differences"
            " where difference in ('order_not_in_crm', 'order_twice_in_crm')"
        )
    }
    assert lacking == waiting


def test_before_the_first_push_what_a_push_would_do_differs(bench: Workbench) -> None:
    planned = {row["key"]: row for row in bench.loader("plan").data["plans"]}
    bench.loader("reconcile")
    assert {row[0] for row in bench.query("select distinct record_key from audit_crm_differences")} >= {
        order for order, plan in planned.items() if plan["changes"]
    }
    changed = {
        (str(change["line"] or ""), change["column"])
        for change in planned["ORDST2228"]["changes"]
        if change["action"] == "update"
    }
    found = {(str(line or ""), column) for line, kind, column, *_ in differences(bench, "ORDST2228") if kind == "value"}
    assert found == changed
    kinds = {(line, kind) for line, kind, *_ in differences(bench, ORDER) if kind != "value"}
    assert kinds == {
        (49152, "line_not_in_crm"),
        (65536, "line_only_in_crm"),
        (None, "line_only_in_crm"),
        (32768, "line_twice_in_crm"),
    }


@pytest.mark.gp_changes
def test_a_number_that_crm_holds_without_a_character_is_the_same_order(bench: Workbench) -> None:
    for table in ("gp.SOP10100", "gp.SOP10200"):
        bench.execute(f"update {table} set SOPNUMBE = 'ORD' || chr(11) || '2226' where rtrim(SOPNUMBE) = ?", ORDER)
    bench.loader("push", "--order", "ORD\x0b2226")
    ended = bench.loader("reconcile")
    assert ended.exit_code == 0, ended.stderr
    found = differences(bench, "ORD\x0b2226")
    assert {(column, reason) for _, _, column, _, _, reason in found} <= {("name", "value_cleaned")}
    assert differences(bench, "ORD 2226") == set()


@pytest.mark.parametrize("code", [92, 110], ids=["UTC", "Berlin"])
def test_midnight_in_the_callers_time_zone_is_no_difference(bench: Workbench, code: int) -> None:
    bench.crm.readings.keeps_only_midnight = True
    bench.crm.set_time_zone(code)
    bench.loader("push")
    assert bench.loader("reconcile").exit_code == 0
    assert (
        bench.query("select * from audit_crm_differences where crm_column = 'requestdeliveryby' and reason is null")
        == []
    )

    held = next(row for row in bench.crm.rows("salesorder") if row["name"] == ORDER)
    for days in (1, -1):
        moved = dt.datetime.fromisoformat(held["requestdeliveryby"].removesuffix("Z")) + dt.timedelta(days=days)
        bench.crm.update("salesorder", held["salesorderid"], {"requestdeliveryby": moved})
        bench.loader("reconcile")
        assert {column for _, _, column, *_ in differences(bench, ORDER)} == {"requestdeliveryby"}


def test_the_snapshot_is_an_order_in_the_columns_and_keys_it_is_staged_in(bench: Workbench) -> None:
    bench.loader("push", "--order", ORDER)
    bench.loader("reconcile")
    columns = [
        str(name)
        for (name,) in bench.query(
            "select distinct unnest(json_keys(content)) from main_journal.crm_snapshot_record"
            " where crm_table = 'salesorderdetail'"
        )
    ]
    assert {"salesorderid", "productid", "uomid", "uomid__schedule", "salesrepid", "quantity"} <= set(columns)
    select = ", ".join(f"upper(cast({name} as varchar))" for name in columns)
    staged = bench.query(f"select {select} from crm_salesorderdetail where salesorderid = ? order by all", ORDER)
    select = ", ".join(f"upper(content ->> '{name}')" for name in columns)
    snapshot = bench.query(
        f"select {select} from main_journal.crm_snapshot_record"
        " where crm_table = 'salesorderdetail' and record_key = ? order by all",
        ORDER,
    )
    assert snapshot == staged
    (header,) = bench.query(
        "select s.content ->> 'customerid', s.content ->> 'pricelevelid', c.customerid, c.pricelevelid,"
        " c.requestdeliveryby = cast(s.content ->> 'requestdeliveryby' as timestamp)"
        " from main_journal.crm_snapshot_record s inner join crm_salesorder c on s.record_key = c.name"
        " where s.crm_table = 'salesorder' and s.record_key = ?",
        ORDER,
    )
    assert header[:2] == header[2:4]
    assert header[4] is True


def test_what_people_change_in_crm_differs_until_the_next_push(bench: Workbench) -> None:
    bench.loader("push", "--order", ORDER)
    order = crm_id(bench, ORDER)
    line = next(
        row
        for row in bench.crm.rows("salesorderdetail")
        if row["salesorderid"]["id"] == order and row["lineitemnumber"] == 16384
    )
    other = next(row for row in bench.crm.rows("account") if row["accountnumber"] == "AARONFIT0001")
    bench.crm.update("salesorder", order, {"description": "ATMORE", "freightamount": Decimal("1.50")})
    bench.crm.update("salesorder", order, {"customerid": {"table": "account", "id": other["accountid"]}})
    bench.crm.update("salesorderdetail", line["salesorderdetailid"], {"quantity": Decimal("7.00000")})
    bench.loader("reconcile")
    assert differences(bench, ORDER) == {
        (None, "value", "description", "Atmore Retirement Center", "ATMORE", None),
        (None, "value", "freightamount", "0.00000", "1.50000", None),
        (None, "value", "customerid", "ATMORERE0001", "AARONFIT0001", None),
        (16384, "value", "quantity", "3.00000", "7.00000", None),
    }
    bench.loader("push", "--order", ORDER)
    bench.loader("reconcile")
    assert differences(bench, ORDER) == set()


def test_an_account_that_nobody_stages_is_told_by_its_number(bench: Workbench) -> None:
    bench.loader("push", "--order", ORDER)
    bench.crm.insert("account", {"accountnumber": "NOBODY0001", "name": "Nobody"})
    account = next(row for row in bench.crm.rows("account") if row["accountnumber"] == "NOBODY0001")
    bench.crm.update(
        "salesorder", crm_id(bench, ORDER), {"customerid": {"table": "account", "id": account["accountid"]}}
    )
    bench.loader("reconcile")
    assert (None, "value", "customerid", "ATMORERE0001", "NOBODY0001", None) in differences(bench, ORDER)


@pytest.mark.gp_changes
def test_an_order_that_gp_voids_is_told_as_long_as_crm_has_it_open(bench: Workbench) -> None:
    bench.loader("push", "--order", ORDER)
    bench.execute("update gp.SOP10100 set VOIDSTTS = 1 where rtrim(SOPNUMBE) = ? and SOPTYPE = 2", ORDER)
    bench.loader("reconcile")
    assert differences(bench, ORDER) == {(None, "order_left_scope", "statecode", None, "0", "voided")}


def test_an_order_deleted_in_crm_is_missing_there(bench: Workbench) -> None:
    bench.loader("push", "--order", ORDER)
    bench.crm.delete("salesorder", crm_id(bench, ORDER))
    bench.loader("reconcile")
    assert differences(bench, ORDER) == {(None, "order_not_in_crm", None, None, None, None)}


def test_each_reconcile_replaces_the_snapshot(bench: Workbench) -> None:
    first = bench.loader("reconcile")
    second = bench.loader("reconcile")
    assert (first.data["records"], first.data["lines"]) == (second.data["records"], second.data["lines"])
    for table, count in (("salesorder", "records"), ("salesorderdetail", "lines")):
        rows = bench.query(
            "select count(*), count(distinct snapshot_at) from main_journal.crm_snapshot_record where crm_table = ?",
            table,
        )
        assert rows == [(second.data[count], 1)]


def test_a_reconcile_that_fails_leaves_the_last_snapshot(bench: Workbench) -> None:
    bench.loader("reconcile")
    before = bench.query("select * from main_journal.crm_snapshot_record order by crm_id")
    bench.crm.faults.error(times=None, method="GET", path="products", status=403, code="0x80040220", message="no")
    ended = bench.loader("reconcile")
    assert ended.exit_code != 0
    assert bench.query("select * from main_journal.crm_snapshot_record order by crm_id") == before


def test_what_crm_computes_itself_is_not_compared(bench: Workbench) -> None:
    bench.crm.organization(issopintegrationenabled=False)
    bench.loader("push", "--order", ORDER)
    bench.loader("reconcile")
    assert differences(bench, ORDER) == set()
    assert bench.query(
        "select column_name, why_not from main_journal.crm_snapshot_column where is_compared = 0 order by all"
    ) == [
        ("baseamount", "computed by CRM"),
        ("datedelivered", "absent in CRM"),
        ("extendedamount", "computed by CRM"),
        ("ordernumber", "set only on creation"),
        ("totalamount", "computed by CRM"),
        ("totallineitemamount", "computed by CRM"),
        ("totaltax", "computed by CRM"),
    ]


def test_it_says_in_words_what_it_found(bench: Workbench) -> None:
    ended = bench.loader("reconcile", json_output=False)
    assert "orders with" in ended.stdout
    assert "orders are not there" in ended.stdout
    assert "select * from audit_crm_differences" in ended.stdout


def test_without_its_tables_it_says_what_to_do(bench: Workbench) -> None:
    bench.execute("drop table main_journal.crm_snapshot_record")
    ended = bench.loader("reconcile")
    assert ended.exit_code == 1
    assert ended.error["code"] == "snapshot_missing"
    assert "dbt build" in ended.error["remedy"]


@pytest.mark.parametrize(
    ("value", "data_type", "staged"),
    [
        (None, "varchar(5)", None),
        ("longer", "varchar(4)", "long"),
        ("any", "varchar", "any"),
        (True, "smallint", 1),
        (3, "int", 3),
        (Decimal("1.5"), "decimal(19,5)", Decimal("1.50000")),
        (Decimal("922337203685477.1"), "decimal(19,5)", Decimal("99999999999999.99999")),
        (Decimal("-922337203685477"), "decimal(19,5)", Decimal("-99999999999999.99999")),
        ("2024-01-31T05:00:00Z", "datetime2(0)", dt.datetime(2024, 1, 31, 5)),
        ("2024-01-31", "timestamp", dt.datetime(2024, 1, 31)),
    ],
)
def test_crms_values_take_the_staged_type(value: str | int | Decimal | None, data_type: str, staged: object) -> None:
    assert as_staged(value, Column("c", data_type, "", ColumnMeta())) == staged


def test_an_order_that_crm_refuses_to_look_for_is_named(bench: Workbench) -> None:
    whole = bench.loader("reconcile").data
    bench.crm.faults.error(None, method="GET", value=ORDER, message="Not this one.")
    ended = bench.loader("reconcile")
    assert ended.exit_code == 0
    assert ["Not this one." in message for message in ended.data["unread"].values()] == [True]
    assert (ended.data["records"], ended.data["not_in_crm"]) == (whole["records"] - 1, whole["not_in_crm"])
