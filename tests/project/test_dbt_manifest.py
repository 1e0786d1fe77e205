"""Rules over dbt's manifest: the layers, the documentation, the contract with the loader, the document's fields."""

from __future__ import annotations

import itertools
import re
from typing import Literal

import duckdb
import pytest
import yaml

from loader.contract import read_contract
from tests.project.dbt_runs import PROJECT, Dbt, Node, gp_columns_of
from tests.warehouse.warehouse_places import journal_tables

ORDER, LINE = "crm_salesorder", "crm_salesorderdetail"

# The integration's field mapping: CRM column and the GP column it names.
FIELDS: dict[str, dict[str, str | None]] = {
    ORDER: {
        "name": "SOP10100.SOPNUMBE",
        "description": "SOP10100.CUSTNAME",
        "customerid": "SOP10100.CUSTNMBR",
        "ordernumber": "SOP10100.SOPNUMBE",
        "datedelivered": "SOP10100.DOCDATE",
        "datefulfilled": "SOP10100.INVODATE",
        "requestdeliveryby": "SOP10100.ReqShipDate",
        "billto_line1": "RM00102.ADDRESS1",
        "billto_line2": "RM00102.ADDRESS2",
        "billto_line3": "RM00102.ADDRESS3",
        "billto_city": "RM00102.CITY",
        "billto_stateorprovince": "RM00102.STATE",
        "billto_postalcode": "RM00102.ZIP",
        "billto_country": "RM00102.COUNTRY",
        "billto_fax": "RM00102.FAX",
        "billto_name": "RM00102.ADRSCODE",
        "billto_telephone": "RM00102.PHONE1",
        "shipto_line1": "SOP10100.ADDRESS1",
        "shipto_line2": "SOP10100.ADDRESS2",
        "shipto_line3": "SOP10100.ADDRESS3",
        "shipto_city": "SOP10100.CITY",
        "shipto_stateorprovince": "SOP10100.STATE",
        "shipto_postalcode": "SOP10100.ZIPCODE",
        "shipto_country": "SOP10100.COUNTRY",
        "shipto_telephone": "SOP10100.PHNUMBR1",
        "shipto_fax": "SOP10100.FAXNUMBR",
        "shipto_name": "SOP10100.SHIPMTHD",
        "discountamount": "SOP10100.DISTKNAM",
        "freightamount": "SOP10100.FRTAMNT",
        "pricelevelid": "SOP10100.PRCLEVEL",
        "shippingmethodcode": "SOP10100.SHIPMTHD",
        "paymenttermscode": "SOP10100.PYMTRMID",
        "totalamount": "SOP10100.DOCAMNT",
        "totaltax": "SOP10100.TAXAMNT",
        "totallineitemamount": "SOP10100.SUBTOTAL",
        "statuscode": "SOP10100.SOPSTATUS",
    },
    LINE: {
        "salesorderid": "SOP10200.SOPNUMBE",
        "lineitemnumber": "SOP10200.LNITMSEQ",
        "productid": "SOP10200.ITEMNMBR",
        "productdescription": "SOP10200.ITEMDESC",
        "quantity": "SOP10200.QUANTITY",
        "priceperunit": "SOP10200.UNITPRCE",
        "baseamount": "SOP10200.XTNDPRCE",
        "manualdiscountamount": "SOP10200.MRKDNAMT",
        "tax": "SOP10200.TAXAMNT",
        "shipto_line1": "SOP10200.ADDRESS1",
        "shipto_line2": "SOP10200.ADDRESS2",
        "shipto_line3": "SOP10200.ADDRESS3",
        "shipto_city": "SOP10200.CITY",
        "shipto_stateorprovince": "SOP10200.STATE",
        "shipto_postalcode": "SOP10200.ZIPCODE",
        "shipto_country": "SOP10200.COUNTRY",
        "shipto_telephone": "SOP10200.PHONE1",
        "shipto_fax": "SOP10200.FAXNUMBR",
        "shipto_name": "SOP10200.SHIPMTHD",
        "uomid": "SOP10200.UOFM",
        "ispriceoverridden": None,
        "requestdeliveryby": "SOP10200.ReqShipDate",
        "salesrepid": "SOP10100.SALSTERR",
    },
}

RULES = {
    *("DBLOOKUP", "DBLOOKUP2", "DBLOOKUPCached", "FILELOOKUP", "PHONEFROMGP", "LOCAL2UTC", "CONVERTDATETIME", "YEAR"),
    *("IF", "DATEADD", "#NULL!", "#LASTID!"),
    *("Sales Order Filtering", "Skip If Repeated", "GP 1900 Null Date Handling", "UTC Conversion"),
    *("Delivery Date Calculation", "Non-Inventoried Items", "UoM Two-Key Lookup", "Salesperson Assignment"),
    *("Order Status Translation", "Price Override Flag"),
}
"""What the document's formula reference and business rules ask of the SQL; the rest is the loader's."""


@pytest.fixture(scope="module")
def project(on_sqlserver: Dbt) -> Dbt:
    return on_sqlserver


@pytest.fixture(scope="module")
def models(project: Dbt) -> dict[str, Node]:
    return project.nodes("model")


def parents(node: Node) -> set[str]:
    """What a model reads, as 'source', 'seed' or a model's name."""
    return {
        part.split(".")[0] if part.startswith(("source.", "seed.")) else part.split(".")[2]
        for part in node["depends_on"]["nodes"]
    }


def crm(node: Node) -> Node:
    meta: Node = node["config"]["meta"].get("crm", {})
    return meta


def is_sent(column: str) -> bool:
    return "__" not in column


def test_staging_reads_one_source_each_and_nothing_else_reads_sources(models: dict[str, Node]) -> None:
    for name, model in models.items():
        if name.startswith("stg_"):
            assert [part.split(".")[0] for part in model["depends_on"]["nodes"]] == ["source"], name
        elif name != "audit_field_trace":  # which shows what GP holds before any rule
            assert "source" not in parents(model), name


def test_layers_only_read_what_is_below_them(models: dict[str, Node]) -> None:
    below = {
        "staging": ("source",),
        "intermediate": ("stg_", "int_"),
        "crm": ("stg_", "int_", "seed"),
        "journal": (),
        "audit": ("stg_", "int_", "crm_", "seed", "sync_", "retry_queue", "audit_"),
    }
    for name, model in models.items():
        layer = model["fqn"][1]
        allowed = (*below[layer], "source") if name == "audit_field_trace" else below[layer]
        wrong = {part for part in parents(model) if not part.startswith(allowed)}
        assert not wrong, f"{name} ({layer}) reads {wrong}"


def test_names_say_the_layer(models: dict[str, Node]) -> None:
    prefixes = {"staging": "stg_gp__", "intermediate": "int_", "crm": "crm_", "audit": "audit_"}
    assert not [name for name, model in models.items() if not name.startswith(prefixes.get(model["fqn"][1], ""))]


def test_models_and_seeds_and_their_columns_are_described(project: Dbt) -> None:
    for name, node in {**project.nodes("model"), **project.nodes("seed")}.items():
        assert node["description"].strip(), name
        assert node["columns"], name
        assert not [column["name"] for column in node["columns"].values() if not column["description"].strip()], name


def test_the_described_columns_are_the_models_columns(built: Dbt) -> None:
    connection = duckdb.connect(str(built.duckdb_path), read_only=True)
    for name, node in {**built.nodes("model"), **built.nodes("seed")}.items():
        described = connection.execute(f'describe "{node["schema"]}"."{name}"').fetchall()
        assert {column[0] for column in described} == set(node["columns"]), name


def test_what_the_loader_reads_is_under_contract(models: dict[str, Node]) -> None:
    for name, model in models.items():
        if crm(model) or model["fqn"][1] == "journal":
            assert model["config"]["contract"]["enforced"], name
            assert not [column["name"] for column in model["columns"].values() if not column["data_type"]], name


def test_every_key_is_tested(project: Dbt, models: dict[str, Node]) -> None:
    unique = {
        test["attached_node"].split(".")[2]
        for test in project.nodes("test").values()
        if test.get("attached_node")
        and test["test_metadata"]["name"] in ("unique", "unique_combination", "unique_code")
    }
    assert models.keys() - unique == set()
    assert project.nodes("seed").keys() - unique == set()


def test_only_keys_and_cross_references_stop_a_push(project: Dbt) -> None:
    """Dirt in the data warns; an error would keep every order from CRM."""
    errors = {
        (test["attached_node"].split(".")[2], test["test_metadata"]["name"])
        for test in project.nodes("test").values()
        if test["config"]["severity"].lower() == "error"
    }
    stopping = {(name, kind) for name, kind in errors if not name.startswith("xref_")}
    assert stopping == {
        (ORDER, "unique_code"),
        (ORDER, "not_null"),
        (LINE, "unique_combination"),
        (LINE, "not_null"),
    }


def test_every_rule_of_the_document_has_a_unit_test(built: Dbt) -> None:
    covered = itertools.chain.from_iterable(
        test["config"]["meta"].get("covers", []) for test in built.nodes("unit_test").values()
    )
    assert set(covered) == RULES


@pytest.mark.parametrize("model", [ORDER, LINE])
def test_every_field_of_the_document_is_mapped_from_its_gp_column(models: dict[str, Node], model: str) -> None:
    columns = models[model]["columns"]
    assert FIELDS[model].keys() - columns.keys() == set()
    for field, gp_column in FIELDS[model].items():
        mapped = gp_columns_of(crm(columns[field]))
        assert mapped[:1] == ([gp_column] if gp_column else []), field


@pytest.mark.parametrize("model", [ORDER, LINE])
def test_every_column_says_where_it_comes_from(project: Dbt, models: dict[str, Node], model: str) -> None:
    known = {
        f"{source['name']}.{column}" for source in project.manifest["sources"].values() for column in source["columns"]
    }
    for name, column in models[model]["columns"].items():
        origin = gp_columns_of(crm(column))
        assert origin or crm(column)["rule"], name
        assert set(origin) <= known, name


@pytest.mark.parametrize("model", [ORDER, LINE])
def test_descriptions_leave_gps_columns_and_the_rule_to_the_contract(models: dict[str, Node], model: str) -> None:
    for name, column in models[model]["columns"].items():
        meta = crm(column)
        said = [*(gp.partition(".")[2] for gp in gp_columns_of(meta)), meta.get("rule") or "as it is"]
        assert not [word for word in said if re.search(rf"(?<!\w){re.escape(word)}(?!\w)", column["description"])], name


def test_every_source_column_is_read_by_its_staging_model(project: Dbt) -> None:
    staging = {name: sql for name, sql in project.compiled.items() if name.startswith("models/staging")}
    for source in project.manifest["sources"].values():
        sql = next(sql for sql in staging.values() if f'"{source["name"]}"' in sql)
        assert not [column for column in source["columns"] if column not in sql], source["name"]


@pytest.mark.parametrize("model", [ORDER, LINE])
def test_the_contract_names_columns_that_exist(models: dict[str, Node], model: str) -> None:
    columns = models[model]["columns"]
    for name, column in columns.items():
        meta = crm(column)
        assert meta.keys() <= {"lookup", "xref", "if_absent", "computed", "gp", "rule"}, name
        if lookup := meta.get("lookup"):
            assert set(lookup["match"].values()) <= columns.keys(), name
            assert lookup["missing"] in ("block", "leave"), name
            assert lookup["ambiguous"] in ("block", "leave"), name
            assert lookup["called"], name
        if xref := meta.get("xref"):
            assert xref["code"] in columns, name
            assert not is_sent(xref["code"]), name
            assert xref["unmapped"] in ("block", "leave"), name


def test_the_order_finds_its_lines(models: dict[str, Node]) -> None:
    order = crm(models[ORDER])
    children = order["children"]
    assert set(order["match_on"]) <= models[ORDER]["columns"].keys()
    assert {children["via"], *children["match_on"]} <= models[children["model"]]["columns"].keys()


def test_text_columns_hold_what_gp_holds(project: Dbt, models: dict[str, Node]) -> None:
    """A contract's varchar is never shorter than the GP column: SQL cuts nothing."""
    sizes = {
        f"{source['name']}.{column['name']}": column["data_type"]
        for source in project.manifest["sources"].values()
        for column in source["columns"].values()
    }
    for model in (ORDER, LINE):
        for name, column in models[model]["columns"].items():
            if column["data_type"].startswith("varchar"):
                held = [length(sizes[gp]) for gp in gp_columns_of(crm(column)) if sizes[gp].startswith("char")]
                assert length(column["data_type"]) >= max(held), name


def length(data_type: str) -> int:
    return int(data_type.partition("(")[2].rstrip(")"))


def test_the_journal_is_never_dropped(models: dict[str, Node]) -> None:
    journal = [model for model in models.values() if model["fqn"][1] == "journal"]
    assert {"sync_run", "sync_event", "retry_queue", "crm_xref", "sync_lock"} <= {model["name"] for model in journal}
    for model in journal:
        assert model["config"]["materialized"] == "incremental", model["name"]
        assert model["config"]["full_refresh"] is False, model["name"]
        assert model["config"]["on_schema_change"] == "append_new_columns", model["name"]
        assert model["schema"] == "dbo_journal", model["name"]


def test_the_adapters_behaviour_flags_are_set_explicitly(project: Dbt) -> None:

    config = yaml.safe_load((PROJECT / "dbt_project.yml").read_text(encoding="utf-8"))
    flags = {flag for flag in config["flags"] if flag.startswith("dbt_sqlserver_use_")}
    assert {flag.removeprefix("dbt_sqlserver_use_") for flag in flags} == {
        *("dbt_transactions", "native_string_types", "default_schema_concat"),
    }
    for kind in ("model", "seed"):
        assert {node["config"]["as_columnstore"] for node in project.nodes(kind).values()} == {False}


def test_fixtures_fit_gps_columns(built: Dbt) -> None:
    """On SQL Server a fixture is cast to the column's type: a longer text would be cut, not refused."""
    sizes = staged_sizes(built)
    for test in built.nodes("unit_test").values():
        for given in test["given"]:
            columns = sizes.get(given["input"].split("'")[1], {})
            for row in given["rows"]:
                long = [name for name, size in columns.items() if len(str(row.get(name) or "")) > size]
                assert not long, f"{test['name']}: {long} of {row}"


def staged_sizes(project: Dbt) -> dict[str, dict[str, int]]:
    """The length of the staging models' text columns."""
    types = {source["name"]: source["columns"] for source in project.manifest["sources"].values()}
    sizes: dict[str, dict[str, int]] = {}
    for name, model in project.nodes("model").items():
        if name.startswith("stg_"):
            table = types[model["sources"][0][1]]
            staged = re.findall(r"\{\{ gp_\w+\('(\w+)'\) \}\} as (\w+)", model["raw_code"])
            texts = {column: table[gp]["data_type"] for gp, column in staged}
            sizes[name] = {column: length(kind) for column, kind in texts.items() if kind.startswith("char")}
    sizes["int_sales_orders_open"] = sizes["stg_gp__sales_orders"]
    return sizes


@pytest.mark.parametrize("dialect", ["duckdb", "sqlserver"])
def test_the_journal_that_the_warehouse_tests_use_is_the_manifests(
    built: Dbt, on_sqlserver: Dbt, dialect: Literal["duckdb", "sqlserver"]
) -> None:
    """They take its tables from the YAML, because dbt need not run for them."""
    dbt = built if dialect == "duckdb" else on_sqlserver
    declared = read_contract(dbt.target_path / "manifest.json", dialect).journal
    assert {name: table.columns for name, table in declared.items()} == {
        name: table.columns for name, table in journal_tables(dialect, "d", "s").items()
    }
