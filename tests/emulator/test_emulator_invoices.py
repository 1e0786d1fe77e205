"""States, lines, pricing and SOP mode of invoices."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from emulator import Emulator
from tests.emulator.web_api import (
    AARON,
    EACH,
    EURO_LIST,
    HOUR,
    INTEGRATION,
    PHONE,
    REP,
    RETAIL,
    RETIRED,
    Client,
    invoice,
    outcomes,
    product_line,
    refused,
    write_in,
)

BILLED = {"statecode": 0, "statuscode": 4}
PAID, PARTIAL = {"statecode": 2, "statuscode": 100001}, {"statecode": 2, "statuscode": 100002}
CANCELED = {"statecode": 3, "statuscode": 100003}


def read(client: Client, invoice_id: str) -> Any:
    return client.read(f"invoices({invoice_id})?$expand=invoice_details")


def state(client: Client, invoice_id: str) -> tuple[int, int]:
    row = read(client, invoice_id)
    return row["statecode"], row["statuscode"]


def set_to(client: Client, invoice_id: str, change: dict[str, int]) -> None:
    assert client.patch(f"invoices({invoice_id})", change).status_code == 204


# ---------------------------------------------------------------- states


@pytest.mark.parametrize("sent", [{}, {"statuscode": 4}, {"statecode": 2, "statuscode": 2}, {"statecode": 3}])
def test_a_new_invoice_is_active_and_new_whatever_was_sent(client: Client, sent: dict[str, int]) -> None:
    assert state(client, client.invoice(**sent)) == (0, 1)


@pytest.mark.parametrize("status", [3, 100001, 100002, 100003])
def test_a_new_invoice_cannot_have_a_status_of_another_state(client: Client, status: int) -> None:
    words = f"{status} is not a valid status code for state code InvoiceState.Active on invoice with Id"
    refused(client.post("invoices", invoice(statuscode=status)), 400, "0x80048408", words)


@pytest.mark.parametrize("change", [BILLED, {"statuscode": 2}, PAID, PARTIAL, CANCELED])
def test_states_are_set_by_updates_and_undone_by_updates(client: Client, change: dict[str, int]) -> None:
    invoice_id = client.invoice()
    set_to(client, invoice_id, change)
    assert state(client, invoice_id) == (change.get("statecode", 0), change["statuscode"])
    set_to(client, invoice_id, BILLED)
    assert state(client, invoice_id) == (0, 4)


def test_a_state_alone_takes_its_first_status(client: Client) -> None:
    invoice_id = client.invoice()
    for sent, expected in ((2, 100001), (3, 100003), (0, 1)):
        set_to(client, invoice_id, {"statecode": sent})
        assert state(client, invoice_id) == (sent, expected)


@pytest.mark.parametrize(
    "change", [{"statuscode": 100001}, {"statecode": 2, "statuscode": 4}, {"statecode": 3, "statuscode": 100001}]
)
def test_state_and_status_must_fit(client: Client, change: dict[str, int]) -> None:
    refused(client.patch(f"invoices({client.invoice()})", change), 400, "0x80048408")


def test_the_deprecated_state_closed_is_refused(client: Client) -> None:
    change = {"statecode": 1, "statuscode": 3}
    refused(client.patch(f"invoices({client.invoice()})", change), 400, "0x80043b25", "Pay and Cancel")


@pytest.mark.parametrize("closed", [PAID, PARTIAL, CANCELED])
def test_a_paid_or_canceled_invoice_takes_no_content_and_no_lines(
    client: Client, crm: Emulator, closed: dict[str, int]
) -> None:
    invoice_id = client.invoice(invoice_details=[product_line()])
    set_to(client, invoice_id, closed)
    for change in ({"description": "x"}, {"description": "x", **BILLED}, {"totalamount": 1}):
        refused(client.patch(f"invoices({invoice_id})", change), 400, "0x8004022e")
    line = f"invoicedetails({crm.rows('invoicedetail')[0]['invoicedetailid']})"
    refused(client.post(f"invoices({invoice_id})/invoice_details", write_in()), 400, "0x80043b09")
    refused(client.patch(line, {"quantity": 3}), 400, "0x80043b09")
    refused(client.delete(line), 400, "0x80043b09")
    assert state(client, invoice_id) == (closed["statecode"], closed["statuscode"])


def test_an_invoice_is_reopened_changed_and_closed_in_one_change_set(client: Client, crm: Emulator) -> None:
    invoice_id = client.invoice(invoice_details=[product_line()])
    set_to(client, invoice_id, PAID)
    reply = client.batch(
        [
            ("PATCH", f"invoices({invoice_id})", BILLED),
            ("PATCH", f"invoices({invoice_id})", {"description": "x"}),
            ("PATCH", f"invoicedetails({crm.rows('invoicedetail')[0]['invoicedetailid']})", {"quantity": 1}),
            ("POST", f"invoices({invoice_id})/invoice_details", write_in()),
            ("PATCH", f"invoices({invoice_id})", CANCELED),
        ]
    )
    assert outcomes(reply) == [204] * 5, reply.text
    assert state(client, invoice_id) == (3, 100003)
    assert read(client, invoice_id)["totalamount"] == Decimal("74.95")


# ---------------------------------------------------------------- content


def test_an_invoice_with_its_order_in_one_change_set(client: Client) -> None:
    order_id = "90000000-0000-4000-8000-000000000001"
    reply = client.batch(
        [
            ("POST", "salesorders", {"salesorderid": order_id, "name": "O1",
                                     "customerid_account@odata.bind": f"/accounts({AARON})"}),
            ("POST", "invoices", invoice(**{"salesorderid@odata.bind": "$1"})),
            ("POST", "invoicedetails", {**product_line(), "invoiceid@odata.bind": "$2"}),
            ("PATCH", "$2", PAID),
        ]
    )  # fmt: skip
    assert outcomes(reply) == [204] * 4, reply.text
    (row,) = client.read(f"salesorders({order_id})/order_invoices")["value"]
    assert (row["name"], row["totalamount"], row["statecode"]) == ("STDINV2225", Decimal("119.90"), 2)
    refused(client.delete(f"salesorders({order_id})"), 405, "0x80040227")


def test_the_invoice_number_is_given_once(client: Client) -> None:
    invoice_id = client.invoice("I1")
    assert client.patch(f"invoices({invoice_id})", {"invoicenumber": "I2"}).status_code == 204
    assert read(client, invoice_id)["invoicenumber"] == "I1"
    numbers = [read(client, client.invoice("I2", invoicenumber=None))["invoicenumber"] for _ in range(2)]
    assert [number[:9] for number in numbers] == ["INV-01000", "INV-01001"]


def test_dates_of_an_invoice(client: Client) -> None:
    invoice_id = client.invoice(duedate="2026-01-31", datedelivered="2026-01-30T05:00:00Z")
    row = read(client, invoice_id)
    assert (row["duedate"], row["datedelivered"]) == ("2026-01-31", "2026-01-30T05:00:00Z")
    refused(client.patch(f"invoices({invoice_id})", {"duedate": "2026-01-31T00:00:00Z"}), 400, "0x80048d19")


def test_totals_are_computed_and_cannot_come_with_the_create(client: Client) -> None:
    lines = [product_line(tax=2), write_in(manualdiscountamount=5)]
    invoice_id = client.invoice(totalamount=999, freightamount=10, discountamount=1, invoice_details=lines)
    row = read(client, invoice_id)
    amounts = ("totallineitemamount", "totaltax", "totaldiscountamount", "totalamount", "totallineitemdiscountamount")
    assert [row[name] for name in amounts] == [Decimal("129.90"), 2, 1, Decimal("140.90"), 5]
    assert client.patch(f"invoices({invoice_id})", {"totalamount": 5}).status_code == 204
    assert read(client, invoice_id)["totalamount"] == Decimal("140.90")
    line = row["invoice_details"][0]
    assert (line["baseamount"], line["extendedamount"], line["invoicedetailname"]) == (
        Decimal("119.90"), Decimal("121.90"), "Cordless Phone",
    )  # fmt: skip
    assert client.delete(f"invoicedetails({line['invoicedetailid']})").status_code == 204
    assert read(client, invoice_id)["totalamount"] == Decimal("19.00")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (product_line(productdescription="x"), "0x80043afb"),
        (write_in(**{"uomid@odata.bind": f"/uoms({EACH})"}), "0x80043afa"),
        (write_in(productdescription=None), "0x80043b11"),
        ({"quantity": 1}, "0x80043b11"),
        ({"quantity": 1, "productid@odata.bind": f"/products({PHONE})"}, "0x80043b0d"),
        (product_line(quantity=None), "0x80081012"),
        (product_line(**{"uomid@odata.bind": f"/uoms({HOUR})"}), "0x80043b16"),
        (product_line(**{"productid@odata.bind": f"/products({RETIRED})"}), "0x8004f908"),
    ],
)
def test_lines_obey_the_rules_of_order_lines(client: Client, line: dict[str, object], code: str) -> None:
    refused(client.post(f"invoices({client.invoice()})/invoice_details", line), 400, code)


def test_a_line_needs_its_invoice(client: Client) -> None:
    refused(client.post("invoicedetails", product_line()), 400, "0x80040203", "'invoiceid'")


def test_a_line_names_the_line_of_the_order(client: Client, crm: Emulator) -> None:
    client.order(order_details=[product_line()])
    line_id = crm.rows("salesorderdetail")[0]["salesorderdetailid"]
    line = product_line(**{"SalesOrderDetailId@odata.bind": f"/salesorderdetails({line_id})"})
    invoice_id = client.invoice(invoice_details=[line])
    assert read(client, invoice_id)["invoice_details"][0]["_salesorderdetailid_value"] == line_id


def test_a_price_list_of_another_currency_is_refused(client: Client) -> None:
    bound = {"pricelevelid@odata.bind": f"/pricelevels({EURO_LIST})"}
    refused(client.post("invoices", invoice(**bound)), 400, "0x80048cf6")
    refused(client.patch(f"invoices({client.invoice()})", bound), 400, "0x80048cf6")


def test_a_line_shows_what_it_takes_from_its_invoice(client: Client, crm: Emulator) -> None:
    invoice_id = client.invoice(invoice_details=[product_line()], **{"ownerid@odata.bind": f"/systemusers({REP})"})
    set_to(client, invoice_id, PAID)
    (line,) = read(client, invoice_id)["invoice_details"]
    assert (line["_ownerid_value"], line["invoicestatecode"], line["invoiceispricelocked"]) == (REP, 2, False)


def test_deleting_an_invoice_deletes_its_lines(client: Client, crm: Emulator) -> None:
    invoice_id = client.invoice(invoice_details=[product_line()])
    refused(client.delete(f"accounts({AARON})"), 405, "0x80040227")
    refused(client.delete(f"products({PHONE})"), 405, "0x80040227")
    assert client.delete(f"invoices({invoice_id})").status_code == 204
    assert crm.rows("invoice") == crm.rows("invoicedetail") == []


def test_prices_are_locked_unlocked_and_computed_anew(client: Client, crm: Emulator) -> None:
    line = product_line(ispriceoverridden=False)
    invoice_id = client.invoice(invoice_details=[line], **{"pricelevelid@odata.bind": f"/pricelevels({RETAIL})"})
    lock = f"invoices({invoice_id})/Microsoft.Dynamics.CRM.LockInvoicePricing"
    assert client.post(lock, {}).status_code == 204
    refused(client.post(lock, {}), 400, "0x80043b1d")
    refused(client.post(lock.replace("Invoice", "SalesOrder"), {}), 501, "0x80060888")
    assert client.post("UnlockInvoicePricing", {"InvoiceId": invoice_id}).status_code == 204
    refused(client.post("UnlockInvoicePricing", {"InvoiceId": invoice_id}), 400, "0x80043b1e")
    crm.update("productpricelevel", crm.rows("productpricelevel")[0]["productpricelevelid"], {"amount": 1})
    assert client.post("RecalculatePrice", {"entityLogicalName": "invoice", "entityId": invoice_id}).status_code == 204
    assert read(client, invoice_id)["totalamount"] == 2


def test_an_invoice_is_shared(client: Client, crm: Emulator) -> None:
    invoice_id = client.invoice()
    body = {
        "Target": {"invoiceid": invoice_id, "@odata.type": "Microsoft.Dynamics.CRM.invoice"},
        "PrincipalAccess": {
            "AccessMask": "ReadAccess",
            "Principal": {"systemuserid": REP, "@odata.type": "Microsoft.Dynamics.CRM.systemuser"},
        },
    }
    assert client.post("GrantAccess", body).status_code == 204
    assert [row["objecttypecode"] for row in crm.rows("principalobjectaccess")] == ["invoice"]


def test_lines_share_the_privileges_of_their_invoice(client: Client, crm: Emulator) -> None:
    invoice_id = client.invoice()
    crm.deny(None, "prvCreateInvoice")
    reply = client.post(f"invoices({invoice_id})/invoice_details", product_line())
    refused(reply, 403, "0x80040220", "prvCreateInvoice")


# ---------------------------------------------------------------- SOP mode


def test_sop_mode_leaves_the_integration_users_amounts(client: Client, crm: Emulator) -> None:
    crm.organization(issopintegrationenabled=True)
    integration = Client(crm, crm.token_for(INTEGRATION))
    invoice_id = integration.invoice(invoice_details=[product_line()])
    assert state(client, invoice_id) == (0, 1)
    line_id = crm.rows("invoicedetail")[0]["invoicedetailid"]
    for path, change in (
        (f"invoicedetails({line_id})", {"baseamount": 100, "extendedamount": 101}),
        (f"invoices({invoice_id})", {"totalamount": 111, "totaltax": 1, "totallineitemamount": 100}),
        (f"invoices({invoice_id})", PAID),
    ):
        assert integration.patch(path, change).status_code == 204
    row = read(client, invoice_id)
    assert (row["totalamount"], row["totaltax"], row["totallineitemamount"]) == (111, 1, 100)
    assert (row["invoice_details"][0]["baseamount"], row["invoice_details"][0]["extendedamount"]) == (100, 101)


def test_sop_mode_computes_anyone_elses_amounts(client: Client, crm: Emulator) -> None:
    crm.organization(issopintegrationenabled=True)
    invoice_id = client.invoice(invoice_details=[product_line()])
    assert client.patch(f"invoices({invoice_id})", {"totalamount": 5}).status_code == 204
    assert read(client, invoice_id)["totalamount"] == Decimal("119.90")


def test_without_sop_mode_an_integration_user_is_like_others(crm: Emulator) -> None:
    integration = Client(crm, crm.token_for(INTEGRATION))
    invoice_id = integration.invoice(invoice_details=[product_line()])
    assert integration.patch(f"invoices({invoice_id})", {"totalamount": 5}).status_code == 204
    assert read(integration, invoice_id)["totalamount"] == Decimal("119.90")
