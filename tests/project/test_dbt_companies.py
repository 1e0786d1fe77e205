"""Several GP companies in one CRM: `gp_companies`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from loader.profile import read_target
from loader.warehouse.connect import connect
from sample import company, story
from tests.project.dbt_runs import PROJECT, Dbt

VARS = {
    "gp_companies": [{"name": "Fabrikam"}, {"name": "Contoso", "schema": "gp_contoso", "prefix": "C-"}],
    "sync": story.VARS["sync"],
    "invoices_since": "2000-01-01",
    "deleted_orders": "cancel",
}

CONTOSO = """
    update gp_contoso.RM00102 set ADDRESS1 = 'Contoso Way 1' where rtrim(CUSTNMBR) = 'ATMORERE0001';
    update gp_contoso.IV00101 set UOMSCHDL = 'CONTOSO';
    delete from gp_contoso.SOP10200 where rtrim(SOPNUMBE) = 'ORDST2226' and LNITMSEQ > 16384;
    delete from gp_contoso.SOP10100 where rtrim(SOPNUMBE) = 'ORDST2225' and SOPTYPE = 2;
    update gp_contoso.SOP10100 set VOIDSTTS = 1 where rtrim(SOPNUMBE) = 'ORDST2240' and SOPTYPE = 2;
    update gp_contoso.RM00101 set CUSTNAME = 'Contoso';
    update gp_contoso.IV00101 set ITEMDESC = 'Contoso';
    update gp_contoso.IV40201 set UMSCHDSC = 'Contoso';
    update gp_contoso.IV40202 set EQUOMQTY = 99, QTYBSUOM = 99 where UOFM = 'Case';
    insert into gp_contoso.IV40201 (UOMSCHDL, BASEUOFM, UMSCHDSC, DEX_ROW_ID) values ('OWN', 'Own', 'own', 99)
"""


@pytest.fixture(scope="module")
def two_companies(bare_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Dbt:
    """The sample company twice with every integration switched on.

    The second one has changed what the first one's rows must not show.
    """
    dbt = Dbt(tmp_path_factory.mktemp("companies"), bare_project)
    warehouse = connect(
        read_target(PROJECT, PROJECT, "duckdb", {"GP_CRM_DUCKDB_PATH": str(dbt.duckdb_path)}), create=True
    )
    company.load(warehouse)
    company.load(warehouse, schema="gp_contoso")
    warehouse.close()
    with duckdb.connect(str(dbt.duckdb_path)) as connection:
        connection.execute(CONTOSO)
    return dbt.succeed("build", "--vars", json.dumps(VARS))


@pytest.fixture
def ask(two_companies: Dbt) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(str(two_companies.duckdb_path), read_only=True)


def test_numbers_that_both_use_stay_apart(ask: duckdb.DuckDBPyConnection) -> None:
    names = [name for (name,) in ask.execute("select name from crm_salesorder").fetchall()]
    assert len(names) == len(set(names))
    own = {name for name in names if not name.startswith("C-")}
    assert {name[2:] for name in names if name.startswith("C-")} == own - {"ORDST2225", "ORDST2240"}
    assert ask.execute("select count(*) from crm_salesorder where ordernumber <> name").fetchone() == (0,)


def test_a_company_s_order_is_made_of_its_own_rows_only(ask: duckdb.DuckDBPyConnection) -> None:
    lines = ask.execute(
        "select salesorderid, count(*) from crm_salesorderdetail where salesorderid like '%ORDST2226' group by 1"
    ).fetchall()
    assert dict(lines) == {"ORDST2226": 3, "C-ORDST2226": 1}
    schedules = ask.execute(
        "select left(salesorderid, 2) = 'C-', count(*) filter (uomid__schedule = 'CONTOSO')"
        " from crm_salesorderdetail where isproductoverridden = 0 and uomid__schedule is not null group by 1"
    ).fetchall()
    assert dict(schedules)[False] == 0
    assert dict(schedules)[True] > 0
    streets = ask.execute(
        "select distinct left(name, 2) = 'C-', billto_line1 from crm_salesorder"
        " where customerid = 'ATMORERE0001' and billto_name = 'PRIMARY'"
    ).fetchall()
    assert (True, "Contoso Way 1") in streets
    assert (False, "Contoso Way 1") not in streets
    assert len(streets) == 2


def test_lines_are_those_of_orders(ask: duckdb.DuckDBPyConnection) -> None:
    orphans = "select count(*) from crm_salesorderdetail where salesorderid not in (select name from crm_salesorder)"
    assert ask.execute(orphans).fetchone() == (0,)
    prefixed = "select count(*) from crm_salesorderdetail where salesorderid like 'C-%'"
    plain = "select count(*) from crm_salesorderdetail where salesorderid not like 'C-%'"
    less = "select count(*) from crm_salesorderdetail where salesorderid in ('ORDST2225', 'ORDST2240')"
    rows = ask.execute(f"select ({plain}) - ({less}) - 2 - ({prefixed})").fetchone()
    assert rows == (0,)


def test_the_audit_tells_them_apart(ask: duckdb.DuckDBPyConnection) -> None:
    status = dict(ask.execute("select order_number, scope_reason from audit_order_status").fetchall())
    assert (status["ORDST2240"], status["C-ORDST2240"]) == ("open", "voided")
    assert "C-ORDST2225" not in status
    doubled = "select order_number from audit_order_status group by 1 having count(*) > 1"
    assert ask.execute(doubled).fetchall() == []
    traced = ask.execute(
        "select record_key, gp_value from audit_field_trace where crm_column = 'name' and record_key like '%ORDST2226'"
    ).fetchall()
    assert dict(traced) == {"ORDST2226": "ORDST2226", "C-ORDST2226": "ORDST2226"}
    orders, traces = ask.execute(
        "select (select count(*) from crm_salesorder),"
        " (select count(*) from audit_field_trace where row_table = 'salesorder' and crm_column = 'name')"
    ).fetchall()[0]
    assert orders == traces
    assert ask.execute("select count(*) from audit_order_balance").fetchone() == (orders,)


def test_a_single_company_in_the_list_is_read_where_the_list_says(bare_project: Path, tmp_path: Path) -> None:
    dbt = Dbt(tmp_path, bare_project).compile_for(
        *("sqlserver", "--select", "stg_gp__items", "stg_gp__sales_orders"),
        *("--vars", "{gp_database: TWO, gp_companies: [{database: FAB, prefix: F-}]}"),
    )
    items = dbt.compiled["models/staging/gp/stg_gp__items.sql"]
    assert """select *, N'FAB' as company\n    from "FAB"."dbo"."IV00101\"""" in items
    assert "concat(N'F-'" in dbt.compiled["models/staging/gp/stg_gp__sales_orders.sql"]


@pytest.mark.parametrize(
    ("companies", "problem"),
    [
        ("TWO", "it is a list"),
        ("[TWO]", "an entry has some of name, database, schema, prefix"),
        ("[{databse: TWO}]", "an entry has some of name, database, schema, prefix"),
        ("[{database: TWO}, {database: two, prefix: A}]", "two companies are named two"),
        ("[{database: TWO}, {database: THREE}]", "TWO has the same prefix"),
        ("[{database: TWO, prefix: a-}, {database: THREE, prefix: A-}]", "TWO has the same prefix"),
        ("[{name: A, database: TWO}, {name: B, database: TWO, prefix: B}]", "A has the same database and schema"),
    ],
)
def test_a_list_that_would_mix_orders_up_is_refused(
    one_macro: Path, tmp_path: Path, companies: str, problem: str
) -> None:
    refusal = Dbt(tmp_path, one_macro).parse("--vars", f"{{gp_companies: {companies}}}")
    assert refusal is not None
    assert "var `gp_companies`" in refusal
    assert problem in refusal


@pytest.fixture(scope="module")
def ended_of_two(two_companies: Dbt, tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """The same with the ended orders in CRM, and two orders that GP has nowhere."""
    copy = shutil.copy(two_companies.duckdb_path, tmp_path_factory.mktemp("ended"))
    with duckdb.connect(str(copy)) as connection:
        connection.execute(
            "insert into main_journal.crm_xref by name select 'salesorder' as crm_table, name as record_key,"
            " lower(name) as match_key, name as crm_id, 0 as is_closed"
            " from (select name from crm_salesorder_ended union select name from crm_salesorder"
            " union select unnest(['GONE', 'C-GONE']))"
        )
        yield connection


def test_an_ended_order_is_traced_to_its_own_company(ended_of_two: duckdb.DuckDBPyConnection) -> None:
    ask = ended_of_two
    traced = ask.execute(
        "select record_key, gp_value from audit_field_trace"
        " where row_table = 'salesorder' and crm_column = 'name' and gp_column = 'SOP30200.SOPNUMBE'"
    ).fetchall()
    ended = ask.execute(
        "select name from crm_salesorder_ended where name not in (select name from crm_salesorder)"
    ).fetchall()
    assert sorted(order for order, _ in traced) == sorted(order for (order,) in ended)
    assert {order.startswith("C-") for order, _ in traced} == {True, False}
    assert all(number == order.removeprefix("C-") for order, number in traced)
    lines = ask.execute(
        "select record_key, gp_value, staged_value from audit_field_trace"
        " where row_table = 'salesorderdetail' and crm_column = 'lineitemnumber' and gp_column = 'SOP30300.LNITMSEQ'"
    ).fetchall()
    assert all(gp == staged for _, gp, staged in lines)
    assert any(order.startswith("C-") for order, _, _ in lines)


def test_an_invoice_is_traced_to_its_own_company(ended_of_two: duckdb.DuckDBPyConnection) -> None:
    traced = ended_of_two.execute(
        "select record_key, gp_value from audit_field_trace where row_table = 'invoice' and crm_column = 'name'"
    ).fetchall()
    assert len(traced) == len(dict(traced)) > 0
    assert all(number == invoice.removeprefix("C-") for invoice, number in traced)


def test_an_order_is_deleted_where_its_own_company_has_it_nowhere(ended_of_two: duckdb.DuckDBPyConnection) -> None:
    deleted = ended_of_two.execute("select name from crm_salesorder_deleted order by name").fetchall()
    assert deleted == [("C-GONE",), ("GONE",)]


def test_gps_own_key_of_an_ended_order_has_no_prefix(
    ended_of_two: duckdb.DuckDBPyConnection, two_companies: Dbt
) -> None:
    keys = ended_of_two.execute("select name, name__gp from crm_salesorder_ended").fetchall()
    assert all(key.rstrip() == name.removeprefix("C-").lower() for name, key in keys)
    meta = two_companies.nodes("model")["crm_salesorder_ended"]["config"]["meta"]["crm"]
    assert meta["key_prefixes"] == ["C-"]


def test_a_code_of_several_companies_is_sent_once(ask: duckdb.DuckDBPyConnection) -> None:
    """The company that is listed first wins; documents stay apart by their prefix."""
    for model, column in (("crm_account", "name"), ("crm_product", "name"), ("crm_uomschedule", "description")):
        assert ask.execute(f"select count(*) from {model} where {column} = 'Contoso'").fetchone() == (0,), model
    assert ask.execute("select quantity from crm_uom where name = 'Case'").fetchall() == [(12,), (12,)]
    assert ask.execute("select name from crm_uom where uomscheduleid = 'OWN'").fetchall() == [("Own",)]
    ended_in_contoso = {"crm_salesorder_ended": {"C-ORDST2240"}, "crm_invoice": set()}
    for model, its_own in ended_in_contoso.items():
        names = {name for (name,) in ask.execute(f"select name from {model}").fetchall()}
        own = {name for name in names if not name.startswith("C-")}
        assert own, model
        assert names == own | {f"C-{name}" for name in own} | its_own, model
