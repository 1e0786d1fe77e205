"""Microsoft's Python client against the emulator. It insists on https."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from PowerPlatform.Dataverse.client import DataverseClient
from PowerPlatform.Dataverse.core.errors import HttpError
from PowerPlatform.Dataverse.models.filters import col
from PowerPlatform.Dataverse.models.upsert import UpsertItem

from emulator import Emulator, certificates
from tests.emulator.web_api import (
    AARON,
    EACH,
    EACH_SCHEDULE,
    PHONE,
    invoice,
    order,
    organisation,
    product_line,
    write_in,
)


class Credential:
    """What azure-identity's classes are to the client."""

    def __init__(self, token: str) -> None:
        self.token = token

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        assert scopes[0].endswith("/.default")
        return AccessToken(self.token, int(time.time()) + 3600)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> certificates.Files:
    return certificates.make(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def secure(tls: certificates.Files, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls.authority))
    with Emulator(organisation(), tls=(tls.certificate, tls.key)) as running:
        yield running
        assert running.crashes == []


@pytest.fixture
def dataverse(secure: Emulator) -> Iterator[DataverseClient]:
    with DataverseClient(secure.url, Credential(secure.token)) as client:
        yield client


def test_create_read_update_delete(dataverse: DataverseClient, secure: Emulator) -> None:
    order_id = dataverse.records.create(
        "salesorder", order(shippingmethodcode="DHL", order_details=[product_line(priceperunit=59.95)])
    )
    row = dataverse.records.retrieve("salesorder", order_id, select=["name", "shippingmethodcode", "totalamount"])
    assert row is not None
    assert (row["name"], row["shippingmethodcode"], row["totalamount"]) == ("ORDST2225", 2, 119.9)
    dataverse.records.update("salesorder", order_id, {"description": "updated"})
    assert secure.row("salesorder", order_id)["description"] == "updated"
    dataverse.records.delete("salesorder", order_id)
    assert secure.rows("salesorder") == []
    assert dataverse.records.retrieve("salesorder", order_id) is None


def test_errors_carry_codes_and_texts(dataverse: DataverseClient) -> None:
    with pytest.raises(HttpError) as caught:
        dataverse.records.create("salesorder", {"nosuchcolumn": 1})
    assert caught.value.status_code == 400
    assert "nosuchcolumn" in str(caught.value)


def test_many_at_once(dataverse: DataverseClient, secure: Emulator) -> None:
    ids = dataverse.records.create("account", [{"name": f"A{number}"} for number in range(5)])
    assert len(ids) == 5
    dataverse.records.update("account", ids, {"telephone1": "555-0100"})
    assert [secure.row("account", row_id)["telephone1"] for row_id in ids] == ["555-0100"] * 5
    dataverse.records.update("account", ids[:2], [{"fax": "1"}, {"fax": "2"}])
    assert [secure.row("account", row_id)["fax"] for row_id in ids[:3]] == ["1", "2", None]
    assert dataverse.records.delete("account", ids)
    assert len(secure.rows("account")) == 2


def test_pages_filters_and_expansion(dataverse: DataverseClient) -> None:
    for number in range(5):
        dataverse.records.create(
            "salesorder", order(f"N{number}", freightamount=number, order_details=[write_in(quantity=2)])
        )
    pages = list(
        dataverse.records.list_pages(
            "salesorder", filter="freightamount ge 1", select=["name"], orderby=["name desc"], page_size=3, count=True
        )
    )
    assert [[row["name"] for row in page] for page in pages] == [["N4", "N3", "N2"], ["N1"]]
    found = dataverse.records.list(
        "salesorder", filter="name eq 'N3'", select=["name"], expand=["order_details"],
        include_annotations="*", top=5,
    )  # fmt: skip
    row = next(iter(found))
    assert row["order_details"][0]["productdescription"] == "Labor"


def test_the_query_builder(dataverse: DataverseClient) -> None:
    for name in ("A1", "A2", "B1"):
        dataverse.records.create("account", {"name": name})
    builder: Any = dataverse.query.builder("account").select("name").order_by("name")
    found = builder.where(col("name").in_(["A1", "B1"]) & ~col("name").like("B%")).execute()
    assert [row["name"] for row in found] == ["A1"]


def test_upsert_by_key(dataverse: DataverseClient, secure: Emulator) -> None:
    for name in ("First", "Second"):
        dataverse.records.upsert("account", [UpsertItem({"accountnumber": "NEW1"}, {"name": name})])
    items: list[UpsertItem | dict[str, Any]] = [
        UpsertItem({"accountnumber": f"NEW{number}"}, {"name": f"Bulk {number}"}) for number in (1, 2)
    ]
    dataverse.records.upsert("account", items)
    named = {row["accountnumber"]: row["name"] for row in secure.rows("account")}
    assert (named["NEW1"], named["NEW2"]) == ("Bulk 1", "Bulk 2")


def test_a_batch_with_a_change_set(dataverse: DataverseClient, secure: Emulator) -> None:
    batch = dataverse.batch.new()
    batch.records.retrieve("account", AARON, select=["name"])
    with batch.changeset() as changes:
        made = changes.records.create("salesorder", order("in a change set"))
        line = {**write_in(quantity=2), "salesorderid@odata.bind": made}
        changes.records.create("salesorderdetail", line)
        changes.records.update("salesorder", made, {"description": "updated"})
    batch.records.list("salesorder", filter="name eq 'in a change set'", select=["name"])
    result = batch.execute()
    assert [response.status_code for response in result.responses] == [200, 204, 204, 204, 200]
    assert result.responses[4].data is not None
    assert result.responses[4].data["value"][0]["name"] == "in a change set"
    (row,) = secure.rows("salesorder")
    assert (row["totalamount"], row["description"]) == (20, "updated")


def test_a_failing_change_set_leaves_nothing_and_the_batch_goes_on(
    dataverse: DataverseClient, secure: Emulator
) -> None:
    batch = dataverse.batch.new()
    with batch.changeset() as changes:
        made = changes.records.create("salesorder", order("fails"))
        changes.records.create("salesorderdetail", {"salesorderid@odata.bind": made, "quantity": 1})
    batch.records.create("salesorder", order("goes on"))
    result = batch.execute(continue_on_error=True)
    assert [response.status_code for response in result.responses] == [400, 204]
    assert result.failed[0].error_code == "0x80043b11"
    assert [row["name"] for row in secure.rows("salesorder")] == ["goes on"]


def test_a_batch_that_stops(dataverse: DataverseClient, secure: Emulator) -> None:
    batch = dataverse.batch.new()
    batch.records.create("salesorder", {"nosuchcolumn": 1})
    batch.records.create("salesorder", order("not reached"))
    result = batch.execute()
    assert [response.status_code for response in result.responses] == [400]
    assert secure.rows("salesorder") == []


def test_tables_and_columns(dataverse: DataverseClient) -> None:
    table = dataverse.tables.get("salesorder")
    assert table is not None
    assert (table["entity_set_name"], table["primary_id_attribute"]) == ("salesorders", "salesorderid")
    assert "salesorderdetail" in {found["LogicalName"] for found in dataverse.tables.list()}
    columns = {column["LogicalName"]: column for column in dataverse.tables.list_columns("salesorder")}
    assert columns["ordernumber"]["IsValidForUpdate"] is False
    keys = dataverse.tables.get_alternate_keys("account")
    assert [key.key_attributes for key in keys] == [["accountnumber"]]
    assert dataverse.tables.get("nosuchtable") is None


@pytest.mark.filterwarnings("ignore:'odata_bind' is deprecated")
def test_look_ups_as_the_client_writes_them(dataverse: DataverseClient, secure: Emulator) -> None:
    order_id = dataverse.records.create("salesorder", order())
    bound = {
        **dataverse.query.odata_bind("salesorderdetail", "product", PHONE),
        **dataverse.query.odata_bind("salesorderdetail", "uom", EACH),
    }
    assert set(bound) == {"productid@odata.bind", "uomid@odata.bind"}
    line = {"salesorderid@odata.bind": f"/salesorders({order_id})", "quantity": 1, "priceperunit": 5}
    dataverse.records.create("salesorderdetail", {**line, **bound, "ispriceoverridden": True})
    assert secure.row("salesorder", order_id)["totalamount"] == 5


def test_units_come_with_their_group(dataverse: DataverseClient, secure: Emulator) -> None:
    group = dataverse.records.create("uomschedule", {"name": "BOX", "baseuomname": "Each"})
    (base,) = dataverse.records.list("uom", filter=f"_uomscheduleid_value eq {group}", select=["uomid", "name"])
    assert base["name"] == "Each"
    bound = {"uomscheduleid@odata.bind": f"/uomschedules({group})", "baseuom@odata.bind": f"/uoms({base['uomid']})"}
    box = dataverse.records.create("uom", {"name": "Box", "quantity": 12, **bound})
    assert secure.row("uom", box)["baseuom"] == {"table": "uom", "id": base["uomid"]}
    with pytest.raises(HttpError) as caught:
        dataverse.records.delete("uom", base["uomid"])
    assert "0x80043b03" in str(caught.value.details)


def test_products_are_activated_in_the_change_set_that_makes_them(dataverse: DataverseClient, secure: Emulator) -> None:
    batch = dataverse.batch.new()
    with batch.changeset() as changes:
        values = {
            "productnumber": "NEW",
            "name": "New",
            "quantitydecimal": 0,
            "productstructure": 1,
            "defaultuomid@odata.bind": f"/uoms({EACH})",
            "defaultuomscheduleid@odata.bind": f"/uomschedules({EACH_SCHEDULE})",
        }
        made = changes.records.create("product", values)
        changes.records.update("product", made, {"statecode": 0, "statuscode": 1})
    assert [response.status_code for response in batch.execute().responses] == [204, 204]
    assert secure.rows("product")[-1]["statecode"] == 0
    with pytest.raises(HttpError) as caught:
        dataverse.records.create("product", {**values, "productnumber": "OTHER", "statuscode": 1})
    assert "1 is not a valid status code for state code ProductState.Draft" in str(caught.value)


def test_invoices_are_paid_and_reopened(dataverse: DataverseClient, secure: Emulator) -> None:
    order_id = dataverse.records.create("salesorder", order())
    values = invoice(invoice_details=[write_in(quantity=2)])
    invoice_id = dataverse.records.create("invoice", {**values, "salesorderid@odata.bind": f"/salesorders({order_id})"})
    dataverse.records.update("invoice", invoice_id, {"statecode": 2, "statuscode": 100001})
    with pytest.raises(HttpError):
        dataverse.records.update("invoice", invoice_id, {"description": "x"})
    dataverse.records.update("invoice", invoice_id, {"statecode": 0, "statuscode": 4})
    dataverse.records.update("invoice", invoice_id, {"description": "x"})
    row = dataverse.records.retrieve("invoice", invoice_id, select=["totalamount", "statuscode"])
    assert row is not None
    assert (row["totalamount"], row["statuscode"]) == (20, 4)
    lines = dataverse.tables.get("invoicedetail")
    assert lines is not None
    assert lines["entity_set_name"] == "invoicedetails"
