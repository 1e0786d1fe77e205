"""The integrations around the order, each switched on by its name in var `sync`."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest

from loader.contract import read_contract
from tests.project import tsql_rules
from tests.project.dbt_runs import Dbt, Node, gp_columns_of, is_of_orders
from tests.project.test_dbt_mutations import UnitTest, assert_noticed, is_noticed, rows_of, swaps
from tests.thorough import some

FOLDERS = {
    "units": {"crm_uomschedule", "crm_uom"},
    "products": {"crm_product"},
    "customers": {"crm_account"},
    "transferred_orders": {"crm_salesorder_ended", "crm_salesorderdetail_ended", "crm_salesorder_deleted"},
    "invoices": {"crm_invoice", "crm_invoicedetail"},
}
MODELS = sorted(set().union(*FOLDERS.values()))
SYNC = "{" + ", ".join(f"{folder}: true" for folder in FOLDERS) + "}"


@pytest.fixture(scope="module")
def unit_tests(everything: Dbt) -> dict[str, list[UnitTest]]:
    """The unit tests by model."""
    found: dict[str, list[UnitTest]] = {}
    sql = {name.rsplit("/", 1)[1].removesuffix(".sql"): text for name, text in everything.compiled.items()}
    for name, node in everything.nodes("unit_test").items():
        if rows_of(node) and not is_of_orders(node["original_file_path"]):
            found.setdefault(node["model"], []).append(UnitTest(name, node["model"], sql[name], rows_of(node)))
    return found


def crm(node: Node) -> Node:
    meta: Node = node["config"]["meta"].get("crm", {})
    return meta


def test_what_is_switched_off_is_not_built(on_sqlserver: Dbt, built: Dbt) -> None:
    models = on_sqlserver.nodes("model").keys()
    assert not models & set(MODELS)
    assert not {name for name in models if name.startswith("int_") and not re.search("sales_orders|journal", name)}
    tables = {source["name"] for source in on_sqlserver.manifest["sources"].values()}
    assert tables == {"SOP10100", "SOP10200", "SOP30200", "RM00102", "IV00101"}
    tested = {test["model"] for test in built.nodes("unit_test").values()}
    assert tested <= set(models)


@pytest.mark.parametrize("folder", some(FOLDERS, 3))
def test_each_integration_is_switched_on_by_itself(bare_project: Path, tmp_path: Path, folder: str) -> None:
    dbt = Dbt(tmp_path, bare_project)
    assert dbt.parse("--target-path", str(tmp_path / "target"), "--vars", f"{{sync: {{{folder}: true}}}}") is None
    models = dbt.nodes("model").keys()
    assert set(MODELS) & models == FOLDERS[folder]


def assert_sql_server_takes_it(dbt: Dbt) -> None:
    sql = dbt.compiled
    assert {f"models/crm/{folder}/{model}.sql" for folder, its in FOLDERS.items() for model in its} <= sql.keys()
    assert {name: tsql_rules.breaches(text) for name, text in sql.items() if tsql_rules.breaches(text)} == {}


def test_every_integration_compiles_to_sql_that_sql_server_2017_takes(everything_on_sqlserver: Dbt) -> None:
    assert_sql_server_takes_it(everything_on_sqlserver)


def test_every_setting_of_the_integrations_compiles_to_sql_that_sql_server_2017_takes(
    bare_project: Path, tmp_path: Path
) -> None:
    settings = (
        f"{{sync: {SYNC}, transferred: partly, transferred_as: invoiced, deleted_orders: cancel, amounts: reconciled,"
        ' invoices_since: "2024-01-31", account_owner: always,'
        " gp_companies: [{database: TWO}, {database: FAB, prefix: F-}]}"
    )
    assert_sql_server_takes_it(Dbt(tmp_path, bare_project).compile_for("sqlserver", "--vars", settings))


def test_the_loader_takes_the_contract_of_every_table(everything: Dbt) -> None:
    contract = read_contract(everything.target_path / "manifest.json", "duckdb")
    assert {model.name for model in contract.each_model} >= set(MODELS)


def test_only_keys_stop_a_push(everything: Dbt) -> None:
    errors = {
        (test["attached_node"].split(".")[2], test["test_metadata"]["name"])
        for test in everything.nodes("test").values()
        if test["config"]["severity"].lower() == "error" and test.get("attached_node")
    }
    lines = {"crm_uom", "crm_salesorderdetail_ended", "crm_invoicedetail"}
    assert {(name, kind) for name, kind in errors if name in MODELS} == {
        *((name, "not_null") for name in MODELS),
        *((name, "unique_combination") for name in lines),
        *((name, "unique_code") for name in MODELS if name not in lines),
    }


@pytest.mark.parametrize("model", MODELS)
def test_every_column_says_where_it_comes_from(everything: Dbt, model: str) -> None:
    sources = everything.manifest["sources"].values()
    sizes = {
        f"{source['name']}.{name}": col["data_type"] for source in sources for name, col in source["columns"].items()
    }
    for name, column in everything.nodes("model")[model]["columns"].items():
        origin = gp_columns_of(crm(column))
        assert origin or crm(column)["rule"], name
        assert set(origin) <= sizes.keys(), name
        if column["data_type"].startswith("varchar"):
            held = [int(sizes[gp][5:-1]) for gp in origin if sizes[gp].startswith("char")]
            assert int(column["data_type"][8:-1]) >= max(held, default=0), name


def test_the_described_columns_are_the_models_columns(everything: Dbt) -> None:
    connection = duckdb.connect(str(everything.duckdb_path), read_only=True)
    for name, node in everything.nodes("model").items():
        described = connection.execute(f'describe "{node["schema"]}"."{name}"').fetchall()
        assert {column[0] for column in described} == set(node["columns"]), name
        assert all(column["description"].strip() for column in node["columns"].values()), name


def test_a_unit_that_leads_nowhere_is_left_out_with_a_warning(everything: Dbt) -> None:
    test = everything.nodes("test")["units_lead_to_their_base_unit"]
    assert test["config"]["severity"].lower() == "warn"
    assert test["attached_node"].endswith("int_units")


ALIKE = {
    "crm_salesorder_ended": {("name", "ordernumber"), ("ordernumber", "name")},
    "crm_invoice": {("name", "invoicenumber"), ("invoicenumber", "name")},
    "crm_product": {("statecode", "statecode__gp_inactive")},
}
"""Columns that hold the same thing."""


@pytest.mark.parametrize("model", MODELS)
def test_a_column_that_is_lost_or_swapped_fails_a_unit_test(unit_tests: dict[str, list[UnitTest]], model: str) -> None:
    tests = [test for test in unit_tests[model] if test.passes(test.sql)]
    assert tests == unit_tests[model]
    columns = tests[0].types
    lost = [column for column in columns if not is_noticed(tests, column, f"cast(null as {columns[column]})")]
    assert lost == []
    swapped = {
        (column, other)
        for column, other in swaps(columns)
        if not is_noticed(tests, column, f'cast("{other}" as {columns[column]})')
    }
    assert swapped <= ALIKE.get(model, set())


BROKEN_RULES = [
    # units
    ("int_unit_schedules", r"where schedule_name is not null", ""),
    ("int_unit_schedules", r"where repeat_number = 1", ""),
    ("int_units", r"where unit is not null", ""),
    ("int_units", r"where units.unit_key <> schedules.base_unit_key", ""),
    ("int_units", r"units.equivalent_unit_key <> schedules.base_unit_key", "1 = 0"),
    ("int_units", r"when units.base_quantity <> 0 then cast\(units.base_quantity as double precision\)", ""),
    ("int_units", r"when units.equivalent_quantity <> 0 then .*", ""),
    ("int_units", r"link_0.factor \* link_1.quantity", "link_1.quantity"),
    ("int_units", r"link_0.factor <> 0", "1 = 1"),
    ("int_units", r", chains.steps, ", ", "),
    ("int_units", r"abs\(quantity\) < 1e14", "1 = 1"),
    ("int_units", r"where base_unit is not null", "where 1 = 0"),
    ("int_units", r"where repeat_number = 1", ""),
    ("crm_uom", r"where quantity is not null", ""),
    ("crm_uom", r"when units.is_base = 0 then units.quantity", "when 1 = 1 then units.quantity"),
    ("crm_uom", r"when units.is_base = 0 then schedules", "when 1 = 1 then schedules"),
    # products
    ("crm_product", r"where item_number is not null", ""),
    ("crm_product", r"where numbered.repeat_number = 1", ""),
    ("crm_product", r"coalesce\(numbered.item_description, numbered.item_number\)", "numbered.item_description"),
    ("crm_product", r"coalesce\(numbered.selling_unit, schedules.base_unit\)", "numbered.selling_unit"),
    ("crm_product", r"coalesce\(numbered.selling_unit, schedules.base_unit\)", "schedules.base_unit"),
    ("crm_product", r"quantity_decimals - 1", "quantity_decimals"),
    ("crm_product", r"in \(1, 2, 3\)", "in (1, 3)"),
    ("crm_product", r"in \(1, 2, 3\)", "in (1, 2)"),
    ("crm_product", r"item_type = 4 then 2", "item_type = 4 then 1"),
    ("crm_product", r"item_type = 6 then 4", "item_type = 5 then 4"),
    ("crm_product", r" / 100", ""),
    ("crm_product", r"left join schedules", "inner join schedules"),
    ("crm_product", r"numbered.company = schedules.company", "1 = 1"),
    # customers
    ("crm_account", r"where customer_number is not null", ""),
    ("crm_account", r"where numbered.repeat_number = 1", ""),
    ("crm_account", r"where master_type = 'CUS'", ""),
    ("crm_account", r"coalesce\(numbered.customer_name, numbered.customer_number\)", "numbered.customer_name"),
    (
        "crm_account",
        r"coalesce\(internet_addresses.email_to, internet_addresses.internet1\)",
        "internet_addresses.email_to",
    ),
    (
        "crm_account",
        r"coalesce\(internet_addresses.email_to, internet_addresses.internet1\)",
        "internet_addresses.internet1",
    ),
    ("crm_account", r"credit_limit_type = 0 then 0", "credit_limit_type = 9 then 0"),
    ("crm_account", r"credit_limit_type = 2 then", "credit_limit_type > 0 then"),
    ("crm_account", r"numbered.parent_key <> numbered.customer_key", "1 = 1"),
    ("crm_account", r"left join addresses as bill_to", "inner join addresses as bill_to"),
    ("crm_account", r"left join addresses as ship_to", "inner join addresses as ship_to"),
    ("crm_account", r"numbered.company = ship_to.company", "1 = 1"),
    ("crm_account", r"numbered.company = internet_addresses.company", "1 = 1"),
    ("crm_account", r"and numbered.address_key = internet_addresses.address_key", ""),
    ("crm_account", r"left join internet_addresses", "inner join internet_addresses"),
    # ended orders
    ("int_sales_orders_ended", r"in \('voided', 'transferred', 'cancelled'\)", "in ('transferred', 'cancelled')"),
    ("int_sales_orders_ended", r"in \('voided', 'transferred', 'cancelled'\)", "<> 'open'"),
    ("int_sales_orders_ended", r"orders.document_type = 2\s+and orders.document_number is not null\s+and not", "not"),
    ("int_sales_orders_ended", r"left_in_work.scope_reason = 'transferred'\s+and ", ""),
    ("int_sales_orders_ended", r"where orders.document_type = 2 and", "where"),
    ("int_sales_orders_ended", r"when orders.void_status <> 0 then 'voided'", "when 1 = 0 then 'voided'"),
    ("int_sales_orders_ended", r"and lines.quantity - lines.quantity_cancelled <> 0", ""),
    ("int_sales_orders_ended", r"then 'cancelled'", "then 'transferred'"),
    ("crm_salesorder_deleted", r"where crm_table = 'salesorder'", ""),
    ("crm_salesorder_deleted", r"orders.document_type = 2 and ", ""),
    ("crm_salesorderdetail_ended", r"where is_history = 0", ""),
    ("crm_salesorderdetail_ended", r"where is_history = 1", ""),
    # invoices
    ("int_invoices", r"document_type = 3 and ", ""),
    ("int_invoices", r"document_number is not null and ", ""),
    ("int_invoices", r"document_day >= ", "document_day > "),
    ("int_invoices", r"having count\(distinct orders.document_key\) = 1", ""),
    ("int_invoices", r"count\(distinct orders.document_key\)", "count(*)"),
    ("int_invoices", r"when invoices.original_type = 2 and", "when"),
    ("int_invoices", r"invoices.void_status = 1 or", ""),
    ("int_invoices", r"receivables.void_status = 1 or", ""),
    ("int_invoices", r"or receivable_history.void_status = 1", ""),
    ("int_invoices", r"= 0 then 'paid'", "<= 4 then 'paid'"),
    ("int_invoices", r"invoices.customer_key = receivables.customer_key", "1 = 1"),
    ("int_invoices", r"invoices.company = receivable_history.company", "1 = 1"),
    ("crm_invoicedetail", r"component_sequence = 0", "1 = 1"),
]


@pytest.mark.parametrize(("model", "rule", "broken"), BROKEN_RULES, ids=lambda value: str(value)[:40])
def test_a_rule_that_is_broken_fails_a_unit_test(
    unit_tests: dict[str, list[UnitTest]], model: str, rule: str, broken: str
) -> None:
    assert_noticed(unit_tests[model], rule, broken)
