"""The audit on the sample company: it follows the mapping's YAML, shows what GP holds, and is there before any push."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
import yaml

from loader.push.reconciling import COLUMN_TYPES, COLUMNS, RECORD_TYPES, RECORDS
from tests.conftest import Built
from tests.project import tsql_rules
from tests.project.dbt_runs import ON_DUCKDB, PROJECT, Dbt, Node, gp_columns_of

TABLES = {"salesorder": "crm_salesorder", "salesorderdetail": "crm_salesorderdetail"}


def crm(node: Node) -> Node:
    meta: Node = node["config"]["meta"].get("crm", {})
    return meta


def test_the_exposures_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, str(PROJECT / "docs" / "exposures.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_crm_table_is_an_exposure(on_sqlserver: Dbt) -> None:
    exposures = {exposure["name"]: exposure for exposure in on_sqlserver.manifest["exposures"].values()}
    tables = {crm(model)["table"]: model["unique_id"] for model in on_sqlserver.nodes("model").values() if crm(model)}
    assert exposures.keys() == {f"dynamics_365_{table}" for table in tables}
    for table, model in tables.items():
        exposure = exposures[f"dynamics_365_{table}"]
        assert model in exposure["depends_on"]["nodes"]
        assert exposure["owner"]["name"]
        assert exposure["maturity"]
        assert exposure["url"].startswith("https://")
        assert table in exposure["description"]


def test_descriptions_are_kept_in_sql_servers_catalogue(on_sqlserver: Dbt, built: Dbt) -> None:
    for name, model in on_sqlserver.nodes("model").items():
        assert model["config"]["persist_docs"] == {"relation": True, "columns": True}, name
    assert {model["config"]["persist_docs"]["columns"] for model in built.nodes("model").values()} == {False}


def test_crms_texts_are_read_in_a_type_that_holds_any_character(on_sqlserver: Dbt) -> None:
    """CRM's texts hold characters that GP's do not: on SQL Server they are nvarchar."""
    sql = on_sqlserver.compiled["models/audit/audit_crm_differences.sql"]
    for table, model in TABLES.items():
        columns = on_sqlserver.nodes("model")[model]["columns"]
        for name, column in columns.items():
            kind = column["data_type"].replace("varchar", "nvarchar")
            assert f"{name} {kind} '$.{name}'" in sql, (table, name)


@pytest.mark.parametrize(("name", "types"), [(COLUMNS, COLUMN_TYPES), (RECORDS, RECORD_TYPES)])
def test_the_loader_fills_every_column_of_the_snapshot(built: Dbt, name: str, types: dict[str, str]) -> None:
    declared = built.nodes("model")[name]["columns"]
    assert declared.keys() == types.keys()


def test_every_audit_column_is_described_once(on_sqlserver: Dbt) -> None:
    """A sentence that several models share is a doc block."""
    seen: dict[str, str] = {}
    for path in sorted((PROJECT / "models" / "audit").glob("*.yml")):
        for model in yaml.safe_load(path.read_text(encoding="utf-8"))["models"]:
            for column in model["columns"]:
                text = column["description"]
                place = f"{model['name']}.{column['name']}"
                if len(text) > 60 and not text.startswith("{{"):
                    assert text not in seen, f"{place} says the same as {seen[text]}"
                    seen[text] = place


def test_before_any_push_the_audit_is_there(warehouse: duckdb.DuckDBPyConnection) -> None:
    rows = {
        name: warehouse.execute(f"select count(*) from {name}").fetchall()[0][0]
        for (name,) in warehouse.execute(
            "select view_name from duckdb_views() where view_name like 'audit_%'"
        ).fetchall()
    }
    empty = {name for name, count in rows.items() if count == 0}
    assert empty == {
        *("audit_crm_differences", "audit_missing_references", "audit_order_changes", "audit_order_warnings"),
        *("audit_record_changes", "audit_record_warnings", "audit_run_history"),
        *("audit_unstaged", "audit_journal_records"),
    }


COMMENTS = {
    "billto_city": "City of the billing address. GP: RM00102.CITY.",
    "billto_fax": "Fax of the billing address, such as 603-555-1234 x567. GP: RM00102.FAX. Rule: PHONEFROMGP.",
    "billto_name": "Code of the billing address. GP: RM00102.ADRSCODE, SOP10100.CUSTNMBR, SOP10100.PRBTADCD."
    " Rule: the customer's address that PRBTADCD names.",
}


def test_the_catalogues_comments_name_gps_columns_and_the_rule(built: Dbt, tmp_path: Path) -> None:
    columns = "graph.nodes['model.gp_to_crm.crm_salesorder'].columns"
    comments = [f"{{{{ column_comment({columns}['{name}']) if execute }}}}" for name in COMMENTS]
    rendered = built.copy_to(tmp_path).rendered("\n".join(comments), *ON_DUCKDB)
    assert rendered.splitlines() == list(COMMENTS.values())


@pytest.mark.parametrize(("part", "model"), [("header", "crm_salesorder"), ("line", "crm_salesorderdetail")])
def test_every_mapped_field_is_traced_to_its_gp_columns(
    built: Dbt, warehouse: duckdb.DuckDBPyConnection, part: str, model: str
) -> None:
    declared: set[tuple[str, str | None]] = {
        (name, gp)
        for name, column in built.nodes("model")[model]["columns"].items()
        for gp in gp_columns_of(crm(column)) or (None,)
    }
    traced = warehouse.execute(
        "select distinct crm_column, gp_column from audit_field_trace where part = ?", [part]
    ).fetchall()
    assert set(traced) == declared
    (orders,) = warehouse.execute(f"select count(*) from {model}").fetchall()[0]
    (rows,) = warehouse.execute("select count(*) from audit_field_trace where part = ?", [part]).fetchall()[0]
    assert rows == orders * len(declared)


def test_the_traced_values_are_gps_and_the_staged_ones(built: Dbt, warehouse: duckdb.DuckDBPyConnection) -> None:
    rows = warehouse.execute(
        "select crm_column, gp_column, gp_value, staged_value from audit_field_trace"
        " where record_key = 'ORDST2226' and part = 'header'"
    ).fetchall()
    cursor = warehouse.execute("select * from gp.SOP10100 where rtrim(SOPNUMBE) = 'ORDST2226' and SOPTYPE = 2")
    names = [column[0] for column in cursor.description or []]
    gp = dict(zip(names, cursor.fetchall()[0], strict=True))
    cursor = warehouse.execute("select * from crm_salesorder where name = 'ORDST2226'")
    staged = dict(zip([column[0] for column in cursor.description or []], cursor.fetchall()[0], strict=True))
    assert len(rows) > 40
    for crm_column, gp_column, gp_value, staged_value in rows:
        table, _, column = gp_column.partition(".")
        if table == "SOP10100":
            assert gp_value == shown(gp[column]), gp_column
        assert staged_value == (None if staged[crm_column] is None else shown(staged[crm_column])), crm_column


def shown(value: object) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else str(value).rstrip()


def test_a_mapping_from_a_column_that_the_trace_does_not_know_is_an_error_that_names_it(
    bare_project: Path, tmp_path: Path
) -> None:
    project = shutil.copytree(bare_project, tmp_path / "project")
    yaml_file = project / "models" / "crm" / "sales_orders" / "crm_salesorder.yml"
    yaml_file.write_text(
        yaml_file.read_text(encoding="utf-8").replace("gp: SOP10100.FRTAMNT", "gp: SOP10106.USERDEF1"),
        encoding="utf-8",
    )
    problem = Dbt(tmp_path, project).why_not_compiled_for("sqlserver", "--select", "audit_field_trace")
    assert "crm_salesorder.freightamount: meta.crm.gp names SOP10106.USERDEF1" in (problem or "")


def test_a_crm_model_that_the_audit_does_not_list_is_an_error_that_names_it(bare_project: Path, tmp_path: Path) -> None:
    """It would be left out of the audit, or read before it is built."""
    project = shutil.copytree(bare_project, tmp_path / "project")
    settings = (PROJECT / "dbt_project.yml").read_text(encoding="utf-8")
    (project / "dbt_project.yml").write_text(
        settings.replace("[crm_salesorder, crm_salesorderdetail]", "[crm_salesorder]"), encoding="utf-8"
    )
    problem = Dbt(tmp_path, project).why_not_compiled_for("sqlserver", "--select", "audit_record_status")
    assert "The audit models do not know crm_salesorderdetail, which has a meta.crm." in (problem or "")


GENERATED = ("audit_record_status", "audit_unmapped_codes", "audit_crm_differences")


def test_a_table_that_is_switched_on_is_in_the_audit(everything_on_sqlserver: Dbt) -> None:
    compiled = {name: everything_on_sqlserver.compiled[f"models/audit/{name}.sql"] for name in GENERATED}
    assert "'uomschedule' as crm_table" in compiled["audit_record_status"]
    assert "'unit_schedule_not_in_crm'" in compiled["audit_crm_differences"]
    assert "'uom' as row_table" in compiled["audit_crm_differences"]
    assert {name: tsql_rules.breaches(text) for name, text in compiled.items() if tsql_rules.breaches(text)} == {}


def test_the_audit_reads_each_crm_view_once(everything_on_sqlserver: Dbt) -> None:
    """SQL Server evaluates a view, and a CTE, as often as a query names it."""
    for name in GENERATED:
        sql = re.sub(r"--.*", "", everything_on_sqlserver.compiled[f"models/audit/{name}.sql"])
        for model in (
            "crm_salesorder",
            "crm_salesorderdetail",
            "crm_uomschedule",
            "crm_uom",
            "crm_product",
            "crm_account",
            "crm_salesorder_ended",
            "crm_salesorderdetail_ended",
            "crm_salesorder_deleted",
            "crm_invoice",
            "crm_invoicedetail",
        ):
            assert sql.count(f'"{model}"') <= 1, (name, model)
        for cte in set(re.findall(r"^(staged_?\w*) as \(", sql, re.MULTILINE)):
            assert len(re.findall(rf"(?:from|join) {cte}\b", sql)) == 1, (name, cte)


@pytest.mark.parametrize("name", GENERATED)
def test_the_audit_is_built_after_every_crm_model(on_sqlserver: Dbt, name: str) -> None:
    crm_models = {model["unique_id"] for model in on_sqlserver.nodes("model").values() if crm(model)}
    assert crm_models <= set(on_sqlserver.nodes("model")[name]["depends_on"]["nodes"])


@pytest.fixture
def built_switched_on(built_whole: Built) -> Iterator[duckdb.DuckDBPyConnection]:
    """The sample company with every integration switched on."""
    with duckdb.connect(str(built_whole.as_tables.path), read_only=True) as connection:
        yield connection


def test_every_record_of_a_table_that_is_switched_on_has_its_status(
    built_switched_on: duckdb.DuckDBPyConnection,
) -> None:
    staged = built_switched_on.execute("select name, description from crm_uomschedule order by all").fetchall()
    status = built_switched_on.execute(
        "select record_key, title from audit_record_status"
        " where crm_table = 'uomschedule' and status = 'not_pushed_yet' and is_staged = 1 order by all"
    ).fetchall()
    assert status == staged
    assert staged


@pytest.mark.parametrize("table", ["uomschedule", "product", "account", "salesorder", "invoice"])
def test_every_table_has_a_status_for_each_record_that_is_staged_to_be_created(
    built_switched_on: duckdb.DuckDBPyConnection, table: str
) -> None:
    ((staged,),) = built_switched_on.execute(f"select count(*) from crm_{table}").fetchall()
    statuses = built_switched_on.execute(
        "select status, count(*) from audit_record_status where crm_table = ? group by status", [table]
    ).fetchall()
    assert staged > 0
    assert sum(count for _, count in statuses) == staged
    assert {status for status, _ in statuses} <= {"not_pushed_yet", "not_created"}


def test_an_invoice_and_its_lines_are_traced_to_history_and_receivables(
    built_switched_on: duckdb.DuckDBPyConnection,
) -> None:
    def count(sql: str) -> object:
        return built_switched_on.execute(f"select count(*) from {sql}").fetchall()[0][0]

    traced = "audit_field_trace where crm_table = 'invoice'"
    assert count(f"{traced} and row_table = 'invoice' and crm_column = 'name'") == count("crm_invoice")
    assert count(f"{traced} and crm_column = 'lineitemnumber'") == count("crm_invoicedetail")
    copied = "('name', 'lineitemnumber', 'totalamount', 'tax')"
    assert count(f"{traced} and crm_column in {copied} and gp_value is distinct from staged_value") == 0
    states = built_switched_on.execute(
        "select distinct gp_column from audit_field_trace where crm_table = 'invoice' and crm_column = 'statecode'"
        " and gp_value is not null order by all"
    ).fetchall()
    assert [column for (column,) in states] == [
        "RM20101.CURTRXAM", "RM20101.ORTRXAMT", "RM20101.VOIDSTTS",
        "RM30101.CURTRXAM", "RM30101.ORTRXAMT", "RM30101.VOIDSTTS", "SOP30200.VOIDSTTS",
    ]  # fmt: skip
    orders = built_switched_on.execute(
        "select gp_value, staged_value from audit_field_trace where crm_table = 'invoice'"
        " and gp_column = 'SOP10100.SOPNUMBE' and gp_value is not null"
    ).fetchall()
    assert all(order == staged for order, staged in orders)


def test_every_mapped_field_of_every_model_is_traced(built_whole: Built, tmp_path: Path) -> None:
    """Ended orders are traced while CRM has them open: the journal says so here, of all but one."""
    with duckdb.connect(str(shutil.copy(built_whole.as_tables.path, tmp_path))) as warehouse:
        ended = warehouse.execute(
            "select name from crm_salesorder_ended where name not in (select name from crm_salesorder) order by name"
        ).fetchall()
        warehouse.execute(
            "insert into main_journal.crm_xref by name select 'salesorder' as crm_table, name as record_key,"
            " lower(name) as match_key, name as crm_id, case when name = ? then 1 else 0 end as is_closed"
            " from crm_salesorder_ended", ended[0]
        )  # fmt: skip
        manifest = json.loads((built_whole.target_path / "manifest.json").read_text(encoding="utf-8"))
        untraced = {}
        for node in manifest["nodes"].values():
            if node["resource_type"] == "model" and crm(node) and node["name"] != "crm_salesorder_deleted":
                declared = {(name, gp) for name, column in node["columns"].items() for gp in gp_columns_of(crm(column))}
                traced = warehouse.execute(
                    "select distinct crm_column, gp_column from audit_field_trace where row_table = ?",
                    [crm(node)["table"]],
                ).fetchall()
                untraced[node["name"]] = declared - set(traced)
        assert {name: columns for name, columns in untraced.items() if columns} == {}
        told = warehouse.execute(
            "select record_key, gp_value, staged_value from audit_field_trace where row_table = 'salesorder'"
            " and gp_column = 'SOP30200.DOCAMNT' order by record_key"
        ).fetchall()
        assert [order for order, _, _ in told] == [order for (order,) in ended[1:]], "closed orders are done with"
        assert all(gp == staged for _, gp, staged in told)
        in_work = warehouse.execute(
            "select count(*) from crm_salesorder_ended where upper(name) in"
            " (select upper(rtrim(SOPNUMBE)) from gp.SOP10100 where SOPTYPE = 2)"
        ).fetchall()
        assert in_work != [(0,)]
        lines = warehouse.execute(
            "select record_key, line_key, gp_value, staged_value from audit_field_trace"
            " where row_table = 'salesorderdetail' and gp_column = 'SOP30300.UNITPRCE' and crm_column = 'priceperunit'"
        ).fetchall()
        staged_lines = warehouse.execute(
            "select count(*) from crm_salesorderdetail_ended where salesorderid in (select unnest(?))",
            [[order for (order,) in ended[1:]]],
        ).fetchall()
        assert (len(lines),) == staged_lines[0]
        assert all(gp == staged for *_, gp, staged in lines)


def test_a_model_that_is_made_of_no_gp_column_has_texts_in_the_trace(everything_on_sqlserver: Dbt) -> None:
    """SQL Server takes a bare null for a number, and the other models' columns with it."""
    sql = everything_on_sqlserver.compiled["models/audit/audit_field_trace.sql"]
    assert "cast(null as varchar(128)) as gp_column" in sql
    assert not re.search(r"\bnull as gp_column", sql)
    assert not re.search(r"case fields.field_no\s+when 0 then null\s+end", sql)


def test_every_crm_model_says_how_its_rows_are_found_in_gp(everything_on_sqlserver: Dbt) -> None:
    models = {
        name: model["config"]["meta"] for name, model in everything_on_sqlserver.nodes("model").items() if crm(model)
    }
    assert [name for name, meta in models.items() if "trace" not in meta] == []


def test_a_unit_is_traced_to_each_row_of_gp_that_it_is_made_of(built_switched_on: duckdb.DuckDBPyConnection) -> None:
    traced = built_switched_on.execute(
        "select gp_column, gp_value, staged_value from audit_field_trace"
        " where record_key = 'CABLE' and line_key = 'Spool' and crm_column = 'quantity' order by all"
    ).fetchall()
    assert traced == [
        ("IV40201.BASEUOFM", "Foot", "500.00000"),
        ("IV40202.EQUIVUOM", "Foot", "500.00000"),
        ("IV40202.EQUOMQTY", "500.00000", "500.00000"),
        ("IV40202.QTYBSUOM", "500.00000", "500.00000"),
    ]
    schedule = built_switched_on.execute(
        "select part, line_key, gp_value from audit_field_trace where row_table = 'uomschedule'"
        " and record_key = 'CABLE' and crm_column = 'description'"
    ).fetchall()
    assert schedule == [("header", None, "Cable by the foot")]


def test_each_of_two_addresses_is_traced_to_its_own_row_of_gp(built_switched_on: duckdb.DuckDBPyConnection) -> None:
    traced = built_switched_on.execute(
        "select crm_column, gp_value, staged_value from audit_field_trace"
        " where record_key = 'AARONFIT0001' and crm_column in ('address1_city', 'address2_city') order by all"
    ).fetchall()
    assert traced == [("address1_city", "Chicago", "Chicago"), ("address2_city", "Redmond", "Redmond")]
