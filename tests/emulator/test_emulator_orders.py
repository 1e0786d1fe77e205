"""States, SOP mode, products and pricing of orders."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from emulator import Emulator
from tests.emulator.web_api import (
    AARON,
    CALLER,
    EACH,
    HOUR,
    INTEGRATION,
    PHONE,
    RETAIL,
    RETIRED,
    Client,
    order,
    outcomes,
    product_line,
    refused,
    write_in,
)

SUBMIT, REOPEN = {"statecode": 1, "statuscode": 3}, {"statecode": 0, "statuscode": 1}


def read(client: Client, order_id: str) -> Any:
    return client.read(f"salesorders({order_id})")


def state(client: Client, order_id: str) -> tuple[int, int]:
    row = read(client, order_id)
    return row["statecode"], row["statuscode"]


def add_line(client: Client, order_id: str, **values: object) -> Any:
    body = {"salesorderid@odata.bind": f"/salesorders({order_id})", **product_line(), **values}
    return client.post("salesorderdetails", body)


def first_line(crm: Emulator) -> str:
    return str(crm.rows("salesorderdetail")[0]["salesorderdetailid"])


# ---------------------------------------------------------------- states


def test_a_new_order_is_active_and_new(client: Client) -> None:
    assert state(client, client.order()) == (0, 1)
    assert state(client, client.order(statuscode=2)) == (0, 2)


@pytest.mark.parametrize("status", [3, 4, 100001, 100003])
def test_a_new_order_cannot_have_a_status_of_another_state(client: Client, status: int) -> None:
    words = f"{status} is not a valid status code for state code SalesOrderState.Active on salesorder with Id"
    refused(client.post("salesorders", order(statecode=1, statuscode=status)), 400, "0x80048408", words)


def test_an_order_is_submitted_and_reopened(client: Client) -> None:
    order_id = client.order()
    for change, expected in (
        (SUBMIT, (1, 3)),
        (REOPEN, (0, 1)),
        ({"statuscode": 2}, (0, 2)),
        ({"statecode": 1}, (1, 3)),
    ):
        assert client.patch(f"salesorders({order_id})", change).status_code == 204
        assert state(client, order_id) == expected


@pytest.mark.parametrize(
    "change", [{"statecode": 0, "statuscode": 3}, {"statecode": 1, "statuscode": 1}, {"statuscode": 3}]
)
def test_state_and_status_must_fit(client: Client, change: dict[str, int]) -> None:
    refused(client.patch(f"salesorders({client.order()})", change), 400, "0x80048408")


def test_an_order_can_be_changed_and_submitted_at_once(client: Client) -> None:
    order_id = client.order()
    assert client.patch(f"salesorders({order_id})", {"description": "x", **SUBMIT}).status_code == 204
    assert state(client, order_id) == (1, 3)


@pytest.mark.parametrize(
    "change", [{"description": "x"}, {"description": "x", **REOPEN}, {"freightamount": 1, **SUBMIT}]
)
def test_a_submitted_order_takes_no_content(client: Client, change: dict[str, object]) -> None:
    order_id = client.order()
    client.patch(f"salesorders({order_id})", SUBMIT)
    refused(client.patch(f"salesorders({order_id})", change), 400, "0x8004022e")
    assert state(client, order_id) == (1, 3)


def test_a_submitted_order_takes_no_lines(client: Client, crm: Emulator) -> None:
    order_id = client.order(order_details=[product_line()])
    client.patch(f"salesorders({order_id})", SUBMIT)
    line = f"salesorderdetails({first_line(crm)})"
    refused(add_line(client, order_id), 400, "0x80043b09", "The parent is read only")
    refused(client.patch(line, {"quantity": 3}), 400, "0x80043b09")
    refused(client.delete(line), 400, "0x80043b09")


def test_reopen_change_submit_in_one_change_set(client: Client, crm: Emulator) -> None:
    order_id = client.order(order_details=[product_line()])
    client.patch(f"salesorders({order_id})", SUBMIT)
    reply = client.batch(
        [
            ("PATCH", f"salesorders({order_id})", REOPEN),
            ("PATCH", f"salesorders({order_id})", {"description": "x"}),
            ("PATCH", f"salesorderdetails({first_line(crm)})", {"quantity": 3}),
            ("PATCH", f"salesorders({order_id})", SUBMIT),
        ]
    )
    assert outcomes(reply) == [204] * 4
    assert state(client, order_id) == (1, 3)


def test_fulfilling_needs_its_action(client: Client, crm: Emulator) -> None:
    order_id = client.order()
    reply = client.patch(f"salesorders({order_id})", {"statecode": 3, "statuscode": 100001})
    refused(reply, 400, "0x80040203", "set the state of SalesOrder to Fullfilled", "FullfillSalesOrder Request")
    close = {
        "OrderClose": {
            "@odata.type": "Microsoft.Dynamics.CRM.orderclose",
            "salesorderid@odata.bind": f"/salesorders({order_id})",
        },
        "Status": -1,
    }
    assert client.post("FulfillSalesOrder", close).status_code == 204
    assert state(client, order_id) == (3, 100001)
    assert len(crm.rows("orderclose")) == 1
    refused(client.post("CancelSalesOrder", close), 400, "0x80040233")


def test_cancelling_needs_its_action(client: Client) -> None:
    order_id = client.order()
    assert client.patch(f"salesorders({order_id})", {"statecode": 2, "statuscode": 4}).status_code == 400
    close = {"OrderClose": {"salesorderid@odata.bind": f"/salesorders({order_id})"}, "Status": 4}
    refused(client.post("CancelSalesOrder", {**close, "Status": 3}), 400, "0x80048408")
    assert client.post("CancelSalesOrder", close).status_code == 204
    assert state(client, order_id) == (2, 4)


@pytest.mark.parametrize("closed", [(2, 4), (3, 100001), (4, 100003)])
def test_a_closed_order_takes_nothing(client: Client, crm: Emulator, closed: tuple[int, int]) -> None:
    order_id = client.order(order_details=[product_line()])
    crm.update("salesorder", order_id, {"statecode": closed[0], "statuscode": closed[1]})
    for change in ({"description": "x"}, REOPEN, SUBMIT):
        refused(client.patch(f"salesorders({order_id})", change), 400, "0x8004022e")
    refused(add_line(client, order_id), 400, "0x80043b09")
    refused(client.delete(f"salesorderdetails({first_line(crm)})"), 400, "0x80043b09")


def test_an_order_can_be_set_to_invoiced(client: Client) -> None:
    order_id = client.order()
    assert client.patch(f"salesorders({order_id})", {"statecode": 4, "statuscode": 100003}).status_code == 204


# ---------------------------------------------------------------- what a line must be


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (product_line(productdescription="x"), "0x80043afb"),
        (write_in(**{"uomid@odata.bind": f"/uoms({EACH})"}), "0x80043afa"),
        (write_in(isproductoverridden=False), "0x80043b11"),
        ({"quantity": 1}, "0x80043b11"),
        ({"isproductoverridden": True, "quantity": 1}, "0x80043b11"),
        ({"productid@odata.bind": f"/products({PHONE})", "quantity": 1}, "0x80043b0d"),
        (product_line(**{"uomid@odata.bind": f"/uoms({HOUR})"}), "0x80043b16"),
        (product_line(quantity=None), "0x80081012"),
        (product_line(**{"productid@odata.bind": f"/products({RETIRED})"}), "0x8004f908"),
        (product_line(ispriceoverridden=False), "0x80043b12"),
        (product_line(lineitemnumber=-1), "0x8004432f"),
        (product_line(manualdiscountamount=-1), "0x80040317"),
        (product_line(quantity=Decimal("100000000000.00001")), "0x80044330"),
    ],
)
def test_lines_that_are_refused(client: Client, line: dict[str, object], code: str) -> None:
    order_id = client.order()
    refused(client.post(f"salesorders({order_id})/order_details", line), 400, code)


def test_a_line_needs_an_order(client: Client) -> None:
    assert client.post("salesorderdetails", product_line()).status_code == 400


def test_a_line_cannot_turn_into_a_write_in_or_back(client: Client, crm: Emulator) -> None:
    client.order(order_details=[product_line(), write_in()])
    product, written = (line["salesorderdetailid"] for line in crm.rows("salesorderdetail"))
    refused(client.patch(f"salesorderdetails({product})", {"productdescription": "x"}), 400, "0x80043afb")
    refused(
        client.patch(f"salesorderdetails({written})", {"productid@odata.bind": f"/products({PHONE})"}),
        400,
        "0x80043afb",
    )
    assert client.patch(f"salesorderdetails({product})", {"isproductoverridden": True}).status_code == 204
    assert client.read(f"salesorderdetails({product})")["isproductoverridden"] is False


def test_an_order_is_in_the_callers_currency_unless_it_says_its_own(client: Client, crm: Emulator) -> None:
    base = crm.rows("organization")[0]["basecurrencyid"]["id"]
    dollar = {"isocurrencycode": "CAD", "currencyname": "Canadian Dollar", "currencyprecision": 2}
    other = crm.insert("transactioncurrency", dollar)
    assert crm.row("salesorder", client.order("A"))["transactioncurrencyid"]["id"] == base
    crm.update("systemuser", CALLER, {"transactioncurrencyid": {"table": "transactioncurrency", "id": other}})
    assert crm.row("salesorder", client.order("B"))["transactioncurrencyid"]["id"] == other
    said = {"transactioncurrencyid@odata.bind": f"/transactioncurrencies({base})"}
    assert crm.row("salesorder", client.order("C", **said))["transactioncurrencyid"]["id"] == base


def test_a_line_takes_its_orders_owner_state_and_currency(client: Client, crm: Emulator) -> None:
    order_id = client.order(order_details=[write_in()])
    client.patch(f"salesorders({order_id})", SUBMIT)
    line = client.read(f"salesorderdetails({first_line(crm)})")
    header = read(client, order_id)
    assert line["_ownerid_value"] == header["_ownerid_value"]
    assert line["_transactioncurrencyid_value"] == header["_transactioncurrencyid_value"]
    assert (line["salesorderstatecode"], line["salesorderdetailname"]) == (1, "Labor")


# ---------------------------------------------------------------- pricing


def test_amounts_and_totals_are_computed(client: Client, crm: Emulator) -> None:
    order_id = client.order(
        freightamount=10, discountamount=5, discountpercentage=10,
        order_details=[
            product_line(
                1, quantity=2, priceperunit=Decimal("59.95"), manualdiscountamount=Decimal("9.90"), tax=Decimal("8.25")
            ),
            write_in(2, quantity=Decimal("1.5"), priceperunit=Decimal("10.33")),
        ],
    )  # fmt: skip
    one, two = crm.rows("salesorderdetail")
    assert (one["baseamount"], one["extendedamount"]) == (Decimal("119.90"), Decimal("118.25"))
    assert (two["baseamount"], two["extendedamount"]) == (Decimal("15.50"), Decimal("15.50"))
    row = read(client, order_id)
    assert row["totallineitemamount"] == Decimal("125.50")
    assert row["totallineitemdiscountamount"] == Decimal("9.90")
    assert row["totaldiscountamount"] == Decimal("17.55")
    assert row["totalamountlessfreight"] == Decimal("107.95")
    assert row["totaltax"] == Decimal("8.25")
    assert row["totalamount"] == Decimal("126.20")


def test_each_change_of_a_line_changes_the_totals_and_the_orders_version(client: Client, crm: Emulator) -> None:
    order_id = client.order()
    seen = [read(client, order_id)]
    add_line(client, order_id)
    seen.append(read(client, order_id))
    client.patch(f"salesorderdetails({first_line(crm)})", {"quantity": 3})
    seen.append(read(client, order_id))
    client.delete(f"salesorderdetails({first_line(crm)})")
    seen.append(read(client, order_id))
    assert [row["totalamount"] for row in seen] == [0, Decimal("119.90"), Decimal("179.85"), 0]
    assert len({row["@odata.etag"] for row in seen}) == 4


def test_totals_that_are_sent_are_computed_over(client: Client, crm: Emulator) -> None:
    order_id = client.order(order_details=[product_line()])
    client.patch(f"salesorders({order_id})", {"totalamount": 1, "totaltax": 1, "totallineitemamount": 1})
    client.patch(f"salesorderdetails({first_line(crm)})", {"baseamount": 1, "extendedamount": 1})
    row = client.read(f"salesorders({order_id})?$expand=order_details")
    assert (row["totalamount"], row["totaltax"], row["totallineitemamount"]) == (
        Decimal("119.90"),
        0,
        Decimal("119.90"),
    )
    assert row["order_details"][0]["baseamount"] == Decimal("119.90")


def test_a_price_that_is_not_overridden_comes_from_the_price_list(client: Client, crm: Emulator) -> None:
    order_id = client.order(**{"pricelevelid@odata.bind": f"/pricelevels({RETAIL})"})
    add_line(client, order_id, ispriceoverridden=False, priceperunit=1)
    assert crm.rows("salesorderdetail")[0]["priceperunit"] == Decimal("189.95")
    assert read(client, order_id)["totalamount"] == Decimal("379.90")


def test_a_product_not_in_the_price_list_is_a_pricing_error(client: Client, crm: Emulator) -> None:
    crm.delete("productpricelevel", crm.rows("productpricelevel")[0]["productpricelevelid"])
    order_id = client.order(**{"pricelevelid@odata.bind": f"/pricelevels({RETAIL})"})
    add_line(client, order_id, ispriceoverridden=False)
    assert crm.rows("salesorderdetail")[0]["pricingerrorcode"] == 11
    assert read(client, order_id)["pricingerrorcode"] == 1


def test_discounts_can_be_per_unit(client: Client, crm: Emulator) -> None:
    crm.organization(discountcalculationmethod=1)
    order_id = client.order(order_details=[product_line(quantity=3, priceperunit=10, manualdiscountamount=2)])
    assert read(client, order_id)["totalamount"] == 24


def test_pricing_can_be_left_to_plug_ins(client: Client, crm: Emulator) -> None:
    crm.organization(oobpricecalculationenabled=False)
    order_id = client.order(order_details=[product_line()])
    assert read(client, order_id)["totalamount"] is None


def test_a_locked_price_stays(client: Client, crm: Emulator) -> None:
    order_id = client.order(**{"pricelevelid@odata.bind": f"/pricelevels({RETAIL})"})
    add_line(client, order_id, ispriceoverridden=False)
    lock = f"salesorders({order_id})/Microsoft.Dynamics.CRM.LockSalesOrderPricing"
    assert client.post(lock, {}).status_code == 204
    refused(client.post(lock, {}), 400, "0x80043b1d")
    crm.update("productpricelevel", crm.rows("productpricelevel")[0]["productpricelevelid"], {"amount": 1})
    client.patch(f"salesorderdetails({first_line(crm)})", {"quantity": 1})
    assert read(client, order_id)["totalamount"] == Decimal("189.95")
    assert client.post("UnlockSalesOrderPricing", {"SalesOrderId": order_id}).status_code == 204
    assert client.post("RecalculatePrice", {"entityLogicalName": "salesorder", "entityId": order_id}).status_code == 204
    assert read(client, order_id)["totalamount"] == 1


# ---------------------------------------------------------------- SOP mode


@pytest.fixture
def sop(crm: Emulator) -> None:
    crm.organization(issopintegrationenabled=True)


@pytest.fixture
def integration(crm: Emulator) -> Client:
    return Client(crm, crm.token_for(INTEGRATION))


@pytest.mark.usefixtures("sop")
def test_an_order_made_in_sop_mode_is_submitted(client: Client) -> None:
    assert state(client, client.order()) == (1, 3)
    assert state(client, client.order(statuscode=3)) == (1, 3)
    refused(client.post("salesorders", order(statuscode=1)), 400, "0x80048408", "SalesOrderState.Submitted")


@pytest.mark.usefixtures("sop")
def test_only_lines_that_come_with_the_order_need_no_reopening(client: Client, integration: Client) -> None:
    for user in (client, integration):
        order_id = user.order(order_details=[product_line()])
        refused(add_line(user, order_id), 400, "0x80043b09")
        refused(user.patch(f"salesorders({order_id})", {"totalamount": 5}), 400, "0x8004022e")


@pytest.mark.usefixtures("sop")
def test_the_integration_users_amounts_stay(integration: Client, crm: Emulator) -> None:
    order_id = "90000000-0000-4000-8000-000000000001"
    line_id = "91000000-0000-4000-8000-000000000001"
    reply = integration.batch(
        [
            ("POST", "salesorders", order(salesorderid=order_id)),
            ("PATCH", f"salesorders({order_id})", REOPEN),
            ("POST", f"salesorders({order_id})/order_details", product_line(salesorderdetailid=line_id)),
            ("PATCH", f"salesorderdetails({line_id})", {"baseamount": 100, "extendedamount": 101}),
            ("PATCH", f"salesorders({order_id})", {"totalamount": 111, "totaltax": 1, "totallineitemamount": 100}),
            ("PATCH", f"salesorders({order_id})", SUBMIT),
        ]
    )
    assert outcomes(reply) == [204] * 6, reply.text
    row = crm.row("salesorder", order_id)
    assert (row["totalamount"], row["totaltax"], row["totallineitemamount"], row["statecode"]) == (111, 1, 100, 1)
    line = crm.row("salesorderdetail", line_id)
    assert (line["baseamount"], line["extendedamount"]) == (100, 101)


@pytest.mark.usefixtures("sop")
def test_anyone_elses_amounts_are_computed_on_an_active_order(client: Client, crm: Emulator) -> None:
    order_id = client.order()
    client.patch(f"salesorders({order_id})", REOPEN)
    add_line(client, order_id)
    client.patch(f"salesorders({order_id})", {"totalamount": 5})
    assert read(client, order_id)["totalamount"] == Decimal("119.90")


@pytest.mark.usefixtures("sop")
def test_submitting_and_reopening_leave_amounts_alone(integration: Client) -> None:
    order_id = integration.order()
    for change in (REOPEN, {"totalamount": 5}, SUBMIT, REOPEN, SUBMIT):
        assert integration.patch(f"salesorders({order_id})", change).status_code == 204
    assert read(integration, order_id)["totalamount"] == 5


@pytest.mark.usefixtures("sop")
def test_a_deleted_line_leaves_the_integration_users_totals(integration: Client, crm: Emulator) -> None:
    order_id = integration.order(order_details=[product_line()])
    for change in (REOPEN, {"totalamount": 5}):
        integration.patch(f"salesorders({order_id})", change)
    assert integration.delete(f"salesorderdetails({first_line(crm)})").status_code == 204
    assert read(integration, order_id)["totalamount"] == 5


def test_without_sop_mode_an_integration_user_is_like_others(integration: Client) -> None:
    order_id = integration.order(order_details=[product_line()])
    integration.patch(f"salesorders({order_id})", {"totalamount": 5})
    assert (state(integration, order_id), read(integration, order_id)["totalamount"]) == ((0, 1), Decimal("119.90"))


def test_sop_mode_and_integration_user_are_switched_by_the_web_api(client: Client, crm: Emulator) -> None:
    (row,) = client.read("organizations?$select=issopintegrationenabled")["value"]
    assert row["issopintegrationenabled"] is False
    assert client.patch(f"organizations({row['organizationid']})", {"issopintegrationenabled": True}).status_code == 204
    assert client.patch(f"systemusers({INTEGRATION})", {"isintegrationuser": False}).status_code == 204
    assert state(client, client.order()) == (1, 3)
    assert AARON in str(crm.rows("salesorder"))


@pytest.mark.parametrize(("lines", "most", "status"), [(50, 50, 204), (51, 50, 400), (51, None, 204)])
def test_a_deep_insert_holds_as_many_records_as_the_organisation_takes(
    client: Client, crm: Emulator, lines: int, most: int | None, status: int
) -> None:
    crm.readings.most_related = most
    body = order(order_details=[product_line(number) for number in range(1, lines + 1)])
    assert client.post("salesorders", body).status_code == status
    assert len(crm.rows("salesorderdetail")) == (lines if status == 204 else 0)
