"""The tables that the loader fills, as CRM describes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

import pytest

from emulator import Emulator
from loader.dataverse.auth import static_token
from loader.dataverse.client import Client
from loader.dataverse.describe import read_flags, read_tables
from loader.dataverse.metadata import Table

TABLES = ("account", "product", "uomschedule", "uom", "salesorder", "salesorderdetail", "invoice", "invoicedetail")


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Emulator() as crm:
        yield Client(crm.url, static_token(crm.token))


@pytest.fixture(scope="module")
def tables(client: Client) -> Mapping[str, Table]:
    return read_tables(client, TABLES)


@pytest.mark.parametrize(
    ("table", "column", "target", "navigation"),
    [
        ("account", "parentaccountid", "account", "parentaccountid"),
        ("account", "ownerid", "systemuser", "ownerid"),
        ("product", "defaultuomid", "uom", "defaultuomid"),
        ("product", "defaultuomscheduleid", "uomschedule", "defaultuomscheduleid"),
        ("uom", "uomscheduleid", "uomschedule", "uomscheduleid"),
        ("uom", "baseuom", "uom", "baseuom"),
        ("invoice", "customerid", "account", "customerid_account"),
        ("invoice", "salesorderid", "salesorder", "salesorderid"),
        ("invoicedetail", "uomid", "uom", "uomid"),
    ],
)
def test_look_ups_have_their_navigation_properties(
    tables: Mapping[str, Table], table: str, column: str, target: str, navigation: str
) -> None:
    assert tables[table].navigation(column, target) == navigation


@pytest.mark.parametrize(
    ("table", "line", "column", "collection"),
    [
        ("uomschedule", "uom", "uomscheduleid", "unit_of_measure_schedule_conversions"),
        ("salesorder", "salesorderdetail", "salesorderid", "order_details"),
        ("invoice", "invoicedetail", "invoiceid", "invoice_details"),
    ],
)
def test_parents_have_their_collections(
    tables: Mapping[str, Table], table: str, line: str, column: str, collection: str
) -> None:
    assert tables[table].collections[line, column] == collection


def test_statuses_belong_to_states(tables: Mapping[str, Table]) -> None:
    found = {name: dict(tables[name].attributes["statuscode"].states) for name in ("account", "product", "invoice")}
    assert found == {
        "account": {1: 0, 2: 1},
        "product": {0: 2, 1: 0, 2: 1, 3: 3},
        "invoice": {1: 0, 2: 0, 4: 0, 5: 0, 6: 0, 3: 1, 7: 1, 100001: 2, 100002: 2, 100003: 3},
    }


def test_columns_say_when_they_may_be_sent(tables: Mapping[str, Table]) -> None:
    sent = {
        f"{name}.{column}": (found.creatable, found.updatable)
        for name, column in (
            ("uomschedule", "baseuomname"), ("product", "productstructure"), ("product", "statecode"),
            ("invoice", "invoicenumber"), ("invoice", "totalamount"), ("invoicedetail", "baseamount"),
        )
        for found in [tables[name].attributes[column]]
    }  # fmt: skip
    assert sent == {
        "uomschedule.baseuomname": (True, False),
        "product.productstructure": (True, False),
        "product.statecode": (False, True),
        "invoice.invoicenumber": (True, False),
        "invoice.totalamount": (False, True),
        "invoicedetail.baseamount": (False, True),
    }


def test_limits_and_days(tables: Mapping[str, Table]) -> None:
    account, invoice = tables["account"].attributes, tables["invoice"].attributes
    assert (account["accountnumber"].max_length, account["creditlimit"].maximum) == (20, Decimal(10**14))
    assert tables["uom"].attributes["quantity"].precision == 5
    assert (invoice["duedate"].date_behaviour, invoice["datedelivered"].date_behaviour) == ("DateOnly", "UserLocal")


def test_the_organisation_says_how_products_are_born(client: Client) -> None:
    names = ("createproductswithoutparentinactivestate", "nosuchsetting")
    assert read_flags(client, names) == {"createproductswithoutparentinactivestate": False}
