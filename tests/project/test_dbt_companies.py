"""Several GP companies in one CRM: `gp_companies`."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from loader.profile import read_target
from loader.warehouse.connect import connect
from sample import company
from tests.project.dbt_runs import PROJECT, Dbt

COMPANIES = '{gp_companies: [{name: Fabrikam}, {name: Contoso, schema: gp_contoso, prefix: "C-"}]}'

CONTOSO = """
    update gp_contoso.RM00102 set ADDRESS1 = 'Contoso Way 1' where rtrim(CUSTNMBR) = 'ATMORERE0001';
    update gp_contoso.IV00101 set UOMSCHDL = 'CONTOSO';
    delete from gp_contoso.SOP10200 where rtrim(SOPNUMBE) = 'ORDST2226' and LNITMSEQ > 16384;
    delete from gp_contoso.SOP10100 where rtrim(SOPNUMBE) = 'ORDST2225' and SOPTYPE = 2;
    update gp_contoso.SOP10100 set VOIDSTTS = 1 where rtrim(SOPNUMBE) = 'ORDST2240' and SOPTYPE = 2
"""


@pytest.fixture(scope="module")
def two_companies(bare_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Dbt:
    """The sample company twice, the second of which has changed what the first one's rows must not show."""
    dbt = Dbt(tmp_path_factory.mktemp("companies"), bare_project)
    warehouse = connect(
        read_target(PROJECT, PROJECT, "duckdb", {"GP_CRM_DUCKDB_PATH": str(dbt.duckdb_path)}), create=True
    )
    company.load(warehouse)
    company.load(warehouse, schema="gp_contoso")
    warehouse.close()
    with duckdb.connect(str(dbt.duckdb_path)) as connection:
        connection.execute(CONTOSO)
    return dbt.succeed("build", "--threads", "2", "--vars", COMPANIES)


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
        " (select count(*) from audit_field_trace where crm_column = 'name' and part = 'header')"
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
