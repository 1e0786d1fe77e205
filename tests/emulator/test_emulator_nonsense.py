"""Whatever a client sends is answered, refused, and never breaks the emulator."""

from __future__ import annotations

import json
import random
from urllib.parse import quote

from emulator import Emulator
from tests.emulator.web_api import AARON, Client, product_line, write_in

VALUES: list[object] = [
    None, 5, "x", True, [], {}, [5], [{}], 10**400, "$1", {"@odata.id": 5},
    {"@odata.type": "Microsoft.Dynamics.CRM.salesorder"}, f"salesorders({AARON})",
]  # fmt: skip
PARAMETERS = {
    "GrantAccess": ["Target", "PrincipalAccess"],
    "RevokeAccess": ["Target", "Revokee"],
    "FulfillSalesOrder": ["OrderClose", "Status"],
    "BulkDelete": ["QuerySet"],
    "RecalculatePrice": ["entityId", "Target"],
    "UnlockSalesOrderPricing": ["SalesOrderId"],
    "accounts/Microsoft.Dynamics.CRM.UpsertMultiple": ["Targets"],
    "salesorders": [
        "name", "freightamount", "statecode", "statuscode", "order_details", "customerid_account", "salesorderid",
        "customerid_account@odata.bind", "requestdeliveryby", "willcall", "transactioncurrencyid@odata.bind",
        "@odata.type", "ownerid@odata.bind", "new_reviewed", "overriddencreatedon",
    ],
    "salesorders({order})": ["name", "statecode", "statuscode", "pricelevelid", "pricelevelid@odata.bind", "ownerid"],
    "salesorderdetails({line})": ["salesorderid", "salesorderid@odata.bind", "productid", "uomid", "quantity"],
    "salesorders({order})/order_details/$ref": ["@odata.id"],
    "salesorders({order})/name": ["value"],
}  # fmt: skip
WORDS = [
    "salesorders", "(", ")", "'", "/", "$select", "=", "name", ",", "$filter", " eq ", "null", "$expand", "?", "&",
    "order_details", "$ref", "%24ref", "$count", "accounts", "accountnumber='X'", "@", "$1", "[", "]", '"', "any",
    "Microsoft.Dynamics.CRM.In", "(o:o/quantity gt 1)", "EntityDefinitions", "Attributes", "LogicalName='salesorder'",
    "$top", "5", "-1", "%", "%zz", "+", "not ", "and ", ";", "$skiptoken", '<cookie pagenumber="2">', "$deltatoken",
    "1!x", "é", "$metadata", "WhoAmI()", "$orderby", " desc",
]  # fmt: skip


def test_bodies_of_every_shape(client: Client, crm: Emulator) -> None:
    order_id = client.order(order_details=[product_line(), write_in()])
    line_id = crm.rows("salesorderdetail")[0]["salesorderdetailid"]
    for path, names in PARAMETERS.items():
        method = "PUT" if path.endswith("/name") else "PATCH" if path.endswith(")") else "POST"
        for name in names:
            for value in VALUES:
                client.send(method, path.format(order=order_id, line=line_id), json.dumps({name: value}))
    for value in VALUES:
        query = quote(json.dumps({"Properties": value, "Criteria": {"Conditions": value}, "AttributeQuery": value}))
        client.get(f"RetrieveMetadataChanges(Query=@p1)?@p1={query}")
        client.post(
            "BulkDelete", json.dumps({"QuerySet": [{"EntityName": "account", "Criteria": {"Conditions": value}}]})
        )
    assert crm.crashes == []
    assert {log.status for log in crm.requests} <= {200, 204, 400, 404, 405, 412, 501}


def test_addresses_of_every_shape(client: Client, crm: Emulator) -> None:
    order_id = client.order(order_details=[product_line(), write_in()])
    starts = [
        "",
        "salesorders?",
        "salesorders?$filter=",
        f"salesorders({order_id})",
        f"salesorders({order_id})/",
        "accounts(",
    ]
    chance = random.Random(7)
    for _ in range(300):
        path = chance.choice(starts) + "".join(chance.choices(WORDS, k=chance.randint(1, 6)))
        client.get(path)
    assert crm.crashes == []
    assert {log.status for log in crm.requests} <= {200, 204, 400, 404, 405, 501}
