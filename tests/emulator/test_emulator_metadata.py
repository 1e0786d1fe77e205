"""What the service tells about itself."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import pytest

from tests.emulator.web_api import Client, refused

ORDER = "EntityDefinitions(LogicalName='salesorder')"
CAST = "Microsoft.Dynamics.CRM.{}AttributeMetadata"


def attributes(client: Client, kind: str, query: str = "", table: str = "salesorder") -> dict[str, Any]:
    path = f"EntityDefinitions(LogicalName='{table}')/Attributes/{CAST.format(kind)}{query}"
    return {one["LogicalName"]: one for one in client.read(path)["value"]}


def test_tables(client: Client) -> None:
    found = client.read("EntityDefinitions?$select=LogicalName,EntitySetName,PrimaryIdAttribute,ObjectTypeCode")[
        "value"
    ]
    by_name = {one["LogicalName"]: one for one in found}
    assert by_name["salesorder"]["EntitySetName"] == "salesorders"
    assert by_name["transactioncurrency"]["EntitySetName"] == "transactioncurrencies"
    assert by_name["team"]["ObjectTypeCode"] == 9
    one = client.read(f"EntityDefinitions({by_name['salesorder']['MetadataId']})?$select=LogicalName")
    assert one["LogicalName"] == "salesorder"


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        ("LogicalName eq 'salesorder'", {"salesorder"}),
        ("LogicalName eq 'SalesOrder'", set()),
        ("LogicalName eq 'salesorder' or EntitySetName eq 'uoms'", {"salesorder", "uom"}),
        ("startswith(LogicalName,'salesorder')", {"salesorder", "salesorderdetail"}),
    ],
)
def test_tables_by_filter(client: Client, condition: str, names: set[str]) -> None:
    found = client.read(f"EntityDefinitions?$select=LogicalName&$filter={condition}")["value"]
    assert {one["LogicalName"] for one in found} == names


def test_one_table_with_columns_keys_and_relationships(client: Client) -> None:
    table = client.read(
        "EntityDefinitions(LogicalName='salesorderdetail')?$select=LogicalName&$expand="
        "Attributes($select=LogicalName,AttributeType,IsValidForCreate,IsValidForUpdate,IsValidForRead,RequiredLevel),"
        "ManyToOneRelationships($select=ReferencingAttribute,ReferencingEntityNavigationPropertyName,ReferencedEntity),"
        "OneToManyRelationships($select=SchemaName),Keys"
    )
    columns = {one["LogicalName"]: one for one in table["Attributes"]}
    base = columns["baseamount"]
    assert (base["AttributeType"], base["IsValidForCreate"], base["IsValidForUpdate"]) == ("Money", False, True)
    assert columns["quantity"]["RequiredLevel"]["Value"] == "ApplicationRequired"
    lookups = {one["ReferencingAttribute"]: one for one in table["ManyToOneRelationships"]}
    assert lookups["quotedetailid"]["ReferencingEntityNavigationPropertyName"] == "QuoteDetailId"
    assert lookups["salesorderid"]["ReferencedEntity"] == "salesorder"
    assert table["Keys"][0]["KeyAttributes"] == ["salesorderid", "lineitemnumber"]
    assert table["Keys"][0]["EntityKeyIndexStatus"] == "Active"


def test_a_customer_is_two_relationships(client: Client) -> None:
    found = client.read(f"{ORDER}/ManyToOneRelationships?$filter=ReferencingAttribute eq 'customerid'")["value"]
    assert {one["ReferencedEntity"]: one["ReferencingEntityNavigationPropertyName"] for one in found} == {
        "account": "customerid_account",
        "contact": "customerid_contact",
    }


def test_text(client: Client) -> None:
    found = attributes(client, "String", "?$select=LogicalName,MaxLength,IsValidForUpdate")
    assert (found["name"]["MaxLength"], found["billto_postalcode"]["MaxLength"]) == (300, 20)
    assert found["ordernumber"]["IsValidForUpdate"] is False
    assert attributes(client, "Memo", "?$select=LogicalName,MaxLength")["description"]["MaxLength"] == 2000


def test_numbers(client: Client) -> None:
    money = attributes(client, "Money")
    freight = money["freightamount"]
    assert (freight["MinValue"], freight["MaxValue"], freight["PrecisionSource"]) == (0, 10**12, 2)
    line = attributes(client, "Money", table="salesorderdetail")
    assert line["priceperunit"]["PrecisionSource"] == 1
    number = attributes(client, "Integer", "?$filter=LogicalName eq 'lineitemnumber'", "salesorderdetail")
    assert (number["lineitemnumber"]["MinValue"], number["lineitemnumber"]["MaxValue"]) == (0, 10**9)
    assert attributes(client, "Decimal", table="salesorderdetail")["quantity"]["Precision"] == 5


def test_dates(client: Client) -> None:
    found = attributes(client, "DateTime", "?$select=LogicalName,Format,DateTimeBehavior")
    requested = found["requestdeliveryby"]
    assert (requested["Format"], requested["DateTimeBehavior"]["Value"]) == ("DateOnly", "UserLocal")
    assert found["new_reviewed"]["DateTimeBehavior"]["Value"] == "DateOnly"


def test_look_ups(client: Client) -> None:
    found = attributes(client, "Lookup", "?$select=LogicalName,Targets,AttributeType")
    assert (found["customerid"]["Targets"], found["customerid"]["AttributeType"]) == (
        ["account", "contact"],
        "Customer",
    )
    assert found["ownerid"]["Targets"] == ["systemuser", "team"]
    assert found["pricelevelid"]["Targets"] == ["pricelevel"]


def test_options(client: Client) -> None:
    found = attributes(client, "Picklist", "?$select=LogicalName&$expand=OptionSet($select=Options)")
    labels = {
        option["Value"]: option["Label"]["UserLocalizedLabel"]["Label"]
        for option in found["shippingmethodcode"]["OptionSet"]["Options"]
    }
    assert labels[2] == "DHL"
    status = attributes(client, "Status", "?$expand=OptionSet")["statuscode"]["OptionSet"]["Options"]
    assert {option["Value"]: option["State"] for option in status} == {
        1: 0, 2: 0, 3: 1, 4: 2, 100001: 3, 100002: 3, 100003: 4,
    }  # fmt: skip
    states = attributes(client, "State", "?$expand=OptionSet")["statecode"]["OptionSet"]["Options"]
    assert {option["Value"]: option["DefaultStatus"] for option in states} == {0: 1, 1: 3, 2: 4, 3: 100001, 4: 100003}
    flag = attributes(client, "Boolean", "?$expand=OptionSet")["willcall"]["OptionSet"]
    assert flag["TrueOption"]["Label"]["UserLocalizedLabel"]["Label"] == "Will Call"


@pytest.mark.parametrize(
    ("table", "statuses", "defaults"),
    [
        ("account", {1: 0, 2: 1}, {0: 1, 1: 2}),
        ("uomschedule", {1: 0, 2: 1}, {0: 1, 1: 2}),
        ("product", {0: 2, 1: 0, 2: 1, 3: 3}, {0: 1, 1: 2, 2: 0, 3: 3}),
        ("pricelevel", {100001: 0, 100002: 1}, {0: 100001, 1: 100002}),
        (
            "invoice",
            {1: 0, 2: 0, 4: 0, 5: 0, 6: 0, 3: 1, 7: 1, 100001: 2, 100002: 2, 100003: 3},
            {0: 1, 1: 3, 2: 100001, 3: 100003},
        ),
    ],
)
def test_states_and_statuses(client: Client, table: str, statuses: dict[int, int], defaults: dict[int, int]) -> None:
    status = attributes(client, "Status", "?$expand=OptionSet", table)["statuscode"]["OptionSet"]["Options"]
    assert {option["Value"]: option["State"] for option in status} == statuses
    column = attributes(client, "State", "?$expand=OptionSet", table)["statecode"]
    assert {option["Value"]: option["DefaultStatus"] for option in column["OptionSet"]["Options"]} == defaults
    assert (column["IsValidForCreate"], column["IsValidForUpdate"]) == (False, True)


@pytest.mark.parametrize(
    ("table", "column", "create", "update"),
    [
        ("uomschedule", "baseuomname", True, False),
        ("uom", "uomscheduleid", True, False),
        ("uom", "isschedulebaseuom", False, False),
        ("product", "productstructure", True, False),
        ("product", "parentproductid", True, False),
        ("product", "pricelevelid", False, True),
        ("account", "merged", False, False),
        ("account", "parentaccountid", True, True),
        ("invoice", "invoicenumber", True, False),
        ("invoice", "transactioncurrencyid", True, False),
        ("invoice", "totalamount", False, True),
        ("invoicedetail", "isproductoverridden", True, False),
        ("invoicedetail", "baseamount", False, True),
        ("invoicedetail", "extendedamount", False, True),
        ("productpricelevel", "pricelevelid", True, False),
    ],
)
def test_which_columns_go_at_create_and_at_update(
    client: Client, table: str, column: str, create: bool, update: bool
) -> None:
    found = client.read(f"EntityDefinitions(LogicalName='{table}')/Attributes(LogicalName='{column}')")
    assert (found["IsValidForCreate"], found["IsValidForUpdate"]) == (create, update)


@pytest.mark.parametrize(
    ("table", "column", "target", "name"),
    [
        ("uom", "baseuom", "uom", "baseuom"),
        ("uom", "uomscheduleid", "uomschedule", "uomscheduleid"),
        ("product", "defaultuomid", "uom", "defaultuomid"),
        ("product", "defaultuomscheduleid", "uomschedule", "defaultuomscheduleid"),
        ("account", "parentaccountid", "account", "parentaccountid"),
        ("account", "ownerid", "systemuser", "ownerid"),
        ("invoice", "customerid", "account", "customerid_account"),
        ("invoice", "salesorderid", "salesorder", "salesorderid"),
        ("invoicedetail", "invoiceid", "invoice", "invoiceid"),
        ("invoicedetail", "salesorderdetailid", "salesorderdetail", "SalesOrderDetailId"),
        ("orderclose", "salesorderid", "salesorder", "salesorderid"),
    ],
)
def test_look_ups_and_their_navigation_properties(
    client: Client, table: str, column: str, target: str, name: str
) -> None:
    path = f"EntityDefinitions(LogicalName='{table}')/ManyToOneRelationships"
    found = client.read(f"{path}?$filter=ReferencingAttribute eq '{column}' and ReferencedEntity eq '{target}'")
    assert [one["ReferencingEntityNavigationPropertyName"] for one in found["value"]] == [name]


def test_an_invoices_due_date_is_a_day_and_its_delivery_an_instant(client: Client) -> None:
    found = attributes(client, "DateTime", "?$select=LogicalName,Format,DateTimeBehavior", "invoice")
    behaviors = {name: found[name]["DateTimeBehavior"]["Value"] for name in ("duedate", "datedelivered")}
    assert behaviors == {"duedate": "DateOnly", "datedelivered": "UserLocal"}


def test_one_column(client: Client) -> None:
    path = f"{ORDER}/Attributes(LogicalName='name')"
    assert client.read(f"{path}?$select=AttributeType")["AttributeType"] == "String"
    assert client.read(f"{path}/{CAST.format('String')}?$select=MaxLength")["MaxLength"] == 300
    refused(client.get(f"{ORDER}/Attributes(LogicalName='datedelivered')"), 404, "0x80040217")
    refused(client.get("EntityDefinitions(LogicalName='nosuch')"), 404, "0x80040217")


def test_custom_columns_are_declared(client: Client) -> None:
    found = attributes(client, "String", "?$filter=IsCustomAttribute eq true", "systemuser")
    assert found["new_gpsalespersonid"]["MaxLength"] == 100


@pytest.mark.parametrize(
    "path",
    [
        f"{ORDER}/Attributes?$select=MaxLength",
        f"{ORDER}?$expand=Attributes($select=MaxLength)",
        f"{ORDER}?$select=Nosuch",
        f"{ORDER}?$expand=Nosuch",
        "EntityDefinitions?$filter=Nosuch eq 'x'",
        f"{ORDER}/Attributes/{CAST.format('String')}?$expand=OptionSet",
    ],
)
def test_what_the_metadata_does_not_know_is_refused(client: Client, path: str) -> None:
    assert client.get(path).status_code == 400


def test_metadata_is_not_changed_here(client: Client) -> None:
    assert client.post("EntityDefinitions", {}).status_code == 501


def test_typed_columns_in_one_request(client: Client) -> None:
    query = {
        "Properties": {"PropertyNames": ["LogicalName", "Attributes"]},
        "Criteria": {
            "Conditions": [
                {
                    "PropertyName": "LogicalName",
                    "ConditionOperator": "Equals",
                    "Value": {"Type": "System.String", "Value": "salesorder"},
                }
            ]
        },
        "AttributeQuery": {"Properties": {"PropertyNames": ["LogicalName", "MaxLength"]}},
    }
    answer = client.read(f"RetrieveMetadataChanges(Query=@p1)?@p1={quote(json.dumps(query))}")
    columns = {one["LogicalName"]: one for one in answer["EntityMetadata"][0]["Attributes"]}
    assert columns["name"]["MaxLength"] == 300


def test_the_service_document_and_the_csdl(client: Client) -> None:
    assert "salesorders" in {one["name"] for one in client.read("")["value"]}
    document = ElementTree.fromstring(client.get("$metadata").text)
    names = {"e": "http://docs.oasis-open.org/odata/ns/edm"}
    order = document.find(".//e:EntityType[@Name='salesorder']", names)
    assert order is not None
    properties = {one.get("Name"): one.get("Type") for one in order.findall("e:Property", names)}
    assert properties["_customerid_value"] == "Edm.Guid"
    assert properties["requestdeliveryby"] == "Edm.DateTimeOffset"
    assert properties["new_reviewed"] == "Edm.Date"
    assert "datedelivered" not in properties
    navigation = {one.get("Name"): one.get("Type") for one in order.findall("e:NavigationProperty", names)}
    assert navigation["order_details"] == "Collection(mscrm.salesorderdetail)"
    assert navigation["customerid_account"] == "mscrm.account"
