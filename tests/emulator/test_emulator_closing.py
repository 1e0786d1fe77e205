"""Orders that end: FulfillSalesOrder, CancelSalesOrder, and Invoiced by an update."""

from __future__ import annotations

from uuid import uuid4

import pytest

from emulator import Emulator
from tests.emulator.web_api import AARON, Client, order, outcomes, product_line, refused

SUBMIT = {"statecode": 1, "statuscode": 3}
INVOICED = {"statecode": 4, "statuscode": 100003}
ORDER_CLOSE = "Microsoft.Dynamics.CRM.orderclose"


def closing(target: str, status: object = -1, **values: object) -> dict[str, object]:
    return {"OrderClose": {"@odata.type": ORDER_CLOSE, "salesorderid@odata.bind": target, **values}, "Status": status}


def of(order_id: str) -> str:
    return f"/salesorders({order_id})"


def state(client: Client, order_id: str) -> tuple[int, int]:
    row = client.read(f"salesorders({order_id})")
    return row["statecode"], row["statuscode"]


@pytest.mark.parametrize(
    ("action", "status", "expected"),
    [
        ("FulfillSalesOrder", 100001, (3, 100001)),
        ("FulfillSalesOrder", 100002, (3, 100002)),
        ("FulfillSalesOrder", -1, (3, 100001)),
        ("CancelSalesOrder", 4, (2, 4)),
        ("CancelSalesOrder", -1, (2, 4)),
    ],
)
@pytest.mark.parametrize("submitted", [False, True])
def test_an_order_is_closed_from_active_and_from_submitted(
    client: Client, action: str, status: int, expected: tuple[int, int], submitted: bool
) -> None:
    order_id = client.order()
    if submitted:
        client.patch(f"salesorders({order_id})", SUBMIT)
    assert client.post(action, closing(of(order_id), status)).status_code == 204
    assert state(client, order_id) == expected


def test_closing_leaves_a_completed_activity_that_goes_with_its_order(client: Client, crm: Emulator) -> None:
    order_id = client.order()
    client.post("FulfillSalesOrder", closing(of(order_id), subject="Transferred", actualend="2026-01-31T05:00:00Z"))
    (activity,) = client.read(f"salesorders({order_id})/SalesOrder_OrderClose")["value"]
    assert (activity["subject"], activity["statecode"], activity["statuscode"], activity["actualend"]) == (
        "Transferred", 1, 2, "2026-01-31T05:00:00Z",
    )  # fmt: skip
    assert activity["ordernumber"] == client.read(f"salesorders({order_id})")["ordernumber"]
    assert client.delete(f"salesorders({order_id})").status_code == 204
    assert crm.rows("orderclose") == []


def test_written_and_closed_in_one_change_set(client: Client, crm: Emulator) -> None:
    order_id = client.order(order_details=[product_line()])
    line_id = crm.rows("salesorderdetail")[0]["salesorderdetailid"]
    reply = client.batch(
        [
            ("PATCH", f"salesorders({order_id})", {"description": "final"}),
            ("PATCH", f"salesorderdetails({line_id})", {"quantity": 1}),
            ("POST", "FulfillSalesOrder", closing(of(order_id), 100001)),
        ]
    )
    assert outcomes(reply) == [204] * 3, reply.text
    row = crm.row("salesorder", order_id)
    assert (row["description"], row["statecode"], crm.row("salesorderdetail", line_id)["quantity"]) == ("final", 3, 1)


@pytest.mark.parametrize("action", ["FulfillSalesOrder", "CancelSalesOrder"])
def test_an_order_is_named_by_its_content_id(client: Client, crm: Emulator, action: str) -> None:
    reply = client.batch([("POST", "salesorders", order()), ("POST", action, closing("$1"))])
    assert outcomes(reply) == [204] * 2, reply.text
    assert crm.rows("salesorder")[0]["statecode"] == {"FulfillSalesOrder": 3, "CancelSalesOrder": 2}[action]


def test_what_comes_after_closing_undoes_the_change_set(client: Client, crm: Emulator) -> None:
    order_id = client.order()
    reply = client.batch(
        [
            ("POST", "CancelSalesOrder", closing(of(order_id))),
            ("PATCH", f"salesorders({order_id})", {"description": "too late"}),
        ]
    )
    assert outcomes(reply) == [400]
    assert "0x8004022e" in reply.text
    assert (state(client, order_id), crm.rows("orderclose")) == ((0, 1), [])


@pytest.mark.parametrize("first", ["FulfillSalesOrder", "CancelSalesOrder", "invoiced"])
def test_an_order_is_closed_once(client: Client, crm: Emulator, first: str) -> None:
    order_id = client.order()
    if first == "invoiced":
        client.patch(f"salesorders({order_id})", INVOICED)
    else:
        client.post(first, closing(of(order_id)))
    activities = len(crm.rows("orderclose"))
    for action in ("FulfillSalesOrder", "CancelSalesOrder"):
        refused(client.post(action, closing(of(order_id))), 400, "0x80040233", "not in a valid state")
    for change in (INVOICED, {"description": "x"}, {"statecode": 0, "statuscode": 1}):
        refused(client.patch(f"salesorders({order_id})", change), 400, "0x8004022e")
    assert len(crm.rows("orderclose")) == activities


@pytest.mark.parametrize("submitted", [False, True])
def test_invoiced_is_reached_by_an_update_without_an_activity(client: Client, crm: Emulator, submitted: bool) -> None:
    order_id = client.order()
    if submitted:
        client.patch(f"salesorders({order_id})", SUBMIT)
        refused(client.patch(f"salesorders({order_id})", {"description": "x", **INVOICED}), 400, "0x8004022e")
    assert client.patch(f"salesorders({order_id})", INVOICED).status_code == 204
    assert (state(client, order_id), crm.rows("orderclose")) == ((4, 100003), [])


@pytest.mark.parametrize(
    ("action", "change", "code"),
    [
        ("FulfillSalesOrder", {"Status": 4}, "0x80048408"),
        ("FulfillSalesOrder", {"Status": 100003}, "0x80048408"),
        ("CancelSalesOrder", {"Status": 100001}, "0x80048408"),
        ("CancelSalesOrder", {"Status": "4"}, "0x80048d19"),
        ("CancelSalesOrder", {"Status": True}, "0x80048d19"),
        ("CancelSalesOrder", {"Status": None}, "0x80048d19"),
        ("CancelSalesOrder", {"OrderClose": None}, "0x80048d19"),
        ("CancelSalesOrder", {"OrderClose": {"subject": "x"}}, "0x80040203"),
        ("CancelSalesOrder", {"SalesOrderId": AARON}, "0x80048d19"),
    ],
)
def test_closings_that_are_refused(
    client: Client, crm: Emulator, action: str, change: dict[str, object], code: str
) -> None:
    order_id = client.order()
    refused(client.post(action, {**closing(of(order_id)), **change}), 400, code)
    assert (state(client, order_id), crm.rows("orderclose")) == ((0, 1), [])


@pytest.mark.parametrize(
    "values",
    [
        {"nosuchcolumn": 1},
        {"@odata.type": "Microsoft.Dynamics.CRM.task"},
        {"salesorderid@odata.bind": f"/accounts({AARON})"},
    ],
)
def test_closing_activities_that_are_refused(client: Client, crm: Emulator, values: dict[str, object]) -> None:
    order_id = client.order()
    refused(client.post("CancelSalesOrder", closing(of(order_id), **values)), 400, "0x80048d19")
    assert (state(client, order_id), crm.rows("orderclose")) == ((0, 1), [])


def test_an_order_that_is_not_there_is_not_closed(client: Client) -> None:
    refused(client.post("FulfillSalesOrder", closing(of(str(uuid4())))), 404, "0x80040217")


@pytest.mark.parametrize("privilege", ["prvWriteOrder", "prvAppendToOrder", "prvCreateActivity"])
def test_closing_needs_its_privileges(client: Client, crm: Emulator, privilege: str) -> None:
    order_id = client.order()
    crm.deny(None, privilege)
    refused(client.post("FulfillSalesOrder", closing(of(order_id))), 403, "0x80040220", privilege)
    assert state(client, order_id) == (0, 1)


def test_a_closed_order_can_still_be_deleted(client: Client) -> None:
    order_id = client.order()
    client.post("FulfillSalesOrder", closing(of(order_id)))
    assert client.delete(f"salesorders({order_id})").status_code == 204
