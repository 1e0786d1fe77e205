"""The organisation obeys the rules that the emulator's metadata declares."""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from importlib.resources import files as package_files

import pytest

from sample import organisation

TABLES = organisation.snapshot()["tables"]


def declared():
    text = package_files("emulator").joinpath("columns.csv").read_text(encoding="utf-8")
    return {(row["table"], row["column"]): row for row in csv.DictReader(io.StringIO(text, newline=""))}


def cells():
    for table, records in TABLES.items():
        for record in records:
            for column, value in record.items():
                yield table, record, column, value


def test_it_is_the_same_every_time():
    assert organisation.snapshot() == organisation.snapshot()
    assert organisation.record_id("account", "AARONFIT0001") == TABLES["account"][0]["accountid"]


def test_ids_are_unique_and_lookups_lead_somewhere():
    ids = {table: {record[f"{table}id"] for record in records} for table, records in TABLES.items()}
    for table, records in TABLES.items():
        assert len(ids[table]) == len(records)
    for _, _, column, value in cells():
        if isinstance(value, dict):
            assert value["id"] in ids[value["table"]], column


def test_values_fit_their_columns():
    columns = declared()
    for table, _, column, value in cells():
        if column == "new_gpsalespersonid":
            continue
        declaration = columns[table, column]
        if isinstance(value, str) and declaration["max_length"]:
            assert len(value) <= int(declaration["max_length"]), (table, column)
        if isinstance(value, Decimal) and declaration["minimum"]:
            assert Decimal(declaration["minimum"]) <= value <= Decimal(declaration["maximum"]), (table, column)
        if declaration["type"] == "Picklist" and declaration["options"]:
            options = {option.partition("=")[0].strip() for option in declaration["options"].split(";")}
            assert str(value) in options, (table, column, value)


def test_a_status_belongs_to_its_state():
    columns = declared()
    for table in ("salesorder", "product", "pricelevel"):
        options = columns[table, "statuscode"]["options"].split(";")
        states = {o.partition("=")[0].strip(): o.partition("@state")[2].strip() for o in options}
        for record in TABLES[table]:
            assert states[str(record["statuscode"])] == str(record["statecode"]), record


def test_a_line_has_a_product_with_a_unit_of_its_schedule_or_a_description():
    units = {unit["uomid"]: unit["uomscheduleid"] for unit in TABLES["uom"]}
    products = {product["productid"]: product for product in TABLES["product"]}
    for line in TABLES["salesorderdetail"]:
        if line["isproductoverridden"]:
            assert line["productdescription"]
            assert "productid" not in line
            assert "uomid" not in line
        else:
            assert "productdescription" not in line
            schedule = products[line["productid"]["id"]]["defaultuomscheduleid"]
            assert units[line["uomid"]["id"]] == schedule


def test_accounts_belong_to_users_and_teams():
    assert {account["ownerid"]["table"] for account in TABLES["account"]} == {"systemuser", "team"}


def test_the_caller_is_the_integration_user():
    (caller,) = [u for u in TABLES["systemuser"] if u["systemuserid"] == organisation.snapshot()["caller"]]
    assert caller["isintegrationuser"] is True
    assert [u for u in TABLES["systemuser"] if u["isintegrationuser"]] == [caller]


def test_sop_mode_can_be_off():
    assert organisation.snapshot()["tables"]["organization"][0]["issopintegrationenabled"] is True
    assert organisation.snapshot(sop_mode=False)["tables"]["organization"][0]["issopintegrationenabled"] is False


def test_every_state_of_an_order_occurs():
    assert {order["statecode"] for order in TABLES["salesorder"]} == {0, 1, 2, 3, 4}


def test_the_empty_organisation_has_next_to_nothing():
    tables = organisation.empty()["tables"]
    assert {name: len(rows) for name, rows in tables.items()} == {
        **{"transactioncurrency": 1, "systemuser": 10, "team": 2, "pricelevel": 4, "account": 3, "organization": 1}
    }
    assert all("accountnumber" not in account for account in tables["account"])


@pytest.mark.parametrize("is_active", [False, True])
def test_products_are_born_as_the_organisation_says(is_active):
    for snapshot in (organisation.snapshot, organisation.empty):
        (settings,) = snapshot(products_are_born_active=is_active)["tables"]["organization"]
        assert settings["createproductswithoutparentinactivestate"] is is_active
