"""Products: what one needs, its life cycle with both settings of the organisation, prices."""

from __future__ import annotations

from typing import Any

import pytest

from emulator import Emulator
from tests.emulator.web_api import (
    EACH,
    EACH_SCHEDULE,
    EURO_LIST,
    HOUR,
    LABOR_SCHEDULE,
    PHONE,
    RETAIL,
    RETIRED,
    USD,
    Client,
    outcomes,
    product_line,
    refused,
)

ACTIVATE, RETIRE = {"statecode": 0, "statuscode": 1}, {"statecode": 1, "statuscode": 2}
DRAFT, REVISE = {"statecode": 2, "statuscode": 0}, {"statecode": 3, "statuscode": 3}


def product(number: str = "ACCS-CRD-12WH", /, **values: object) -> dict[str, object]:
    body = {
        "productnumber": number,
        "name": "Phone Cord",
        "defaultuomscheduleid@odata.bind": f"/uomschedules({EACH_SCHEDULE})",
        "defaultuomid@odata.bind": f"/uoms({EACH})",
        "quantitydecimal": 0,
        "productstructure": 1,
        **values,
    }
    return {name: value for name, value in body.items() if value is not None}


def read(client: Client, product_id: str) -> Any:
    return client.read(f"products({product_id})")


def state(client: Client, product_id: str) -> tuple[int, int]:
    row = read(client, product_id)
    return row["statecode"], row["statuscode"]


@pytest.fixture
def born_active(crm: Emulator) -> None:
    crm.organization(createproductswithoutparentinactivestate=True)


# ---------------------------------------------------------------- birth


def test_a_new_product_is_a_draft(client: Client) -> None:
    (row,) = client.read("organizations?$select=createproductswithoutparentinactivestate")["value"]
    assert row["createproductswithoutparentinactivestate"] is False
    assert state(client, client.create("products", product())) == (2, 0)
    assert state(client, client.create("products", product("B", statecode=0, statuscode=0))) == (2, 0)
    words = "1 is not a valid status code for state code ProductState.Draft on product with Id"
    refused(client.post("products", product("C", statecode=0, statuscode=1)), 400, "0x80048408", words)


@pytest.mark.usefixtures("born_active")
def test_an_organisation_can_make_products_active(client: Client) -> None:
    assert state(client, client.create("products", product())) == (0, 1)
    assert state(client, client.create("products", product("B", statecode=2, statuscode=1))) == (0, 1)
    for status in (0, 2, 3):
        refused(client.post("products", product("C", statuscode=status)), 400, "0x80048408", "ProductState.Active")


@pytest.mark.usefixtures("born_active")
def test_a_product_with_a_parent_is_a_draft_either_way(client: Client) -> None:
    family = client.create("products", product("FAMILY", productstructure=2))
    child = client.create("products", product(**{"parentproductid@odata.bind": f"/products({family})"}))
    assert state(client, child) == (2, 0)


def test_created_and_activated_in_one_change_set(client: Client, crm: Emulator) -> None:
    reply = client.batch([("POST", "products", product()), ("PATCH", "$1", ACTIVATE)])
    assert outcomes(reply) == [204] * 2, reply.text
    assert state(client, str(crm.rows("product")[-1]["productid"])) == (0, 1)


@pytest.mark.usefixtures("born_active")
def test_activating_what_was_born_active_fails_the_change_set(client: Client, crm: Emulator) -> None:
    reply = client.batch([("POST", "products", product()), ("PATCH", "$1", ACTIVATE)])
    assert outcomes(reply) == [400]
    assert "0x8004f982" in reply.text
    assert len(crm.rows("product")) == 2


# ---------------------------------------------------------------- what one needs


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"productnumber": None}, "0x80043b05"),
        ({"productnumber": "phon-att-53wh"}, "0x80043b06"),
        ({"defaultuomscheduleid@odata.bind": None}, "0x80043b13"),
        ({"defaultuomid@odata.bind": None}, "0x80043b0d"),
        ({"defaultuomid@odata.bind": f"/uoms({HOUR})"}, "0x80043b16"),
        ({"quantitydecimal": None}, "0x80043b07"),
        ({"quantitydecimal": 6}, "0x8004432f"),
        ({"productstructure": 4}, "0x8004431a"),
        ({"stockweight": -1}, "0x80044330"),
        ({"price": -1}, "0x80040317"),
        ({"parentproductid@odata.bind": f"/products({PHONE})"}, "0x8004f998"),
    ],
)
def test_products_that_are_refused(client: Client, values: dict[str, object], code: str) -> None:
    refused(client.post("products", product(**values)), 400, code)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"productnumber": None}, "0x80043b05"),
        ({"productnumber": "OLD"}, "0x80043b06"),
        ({"defaultuomscheduleid": None}, "0x80043b13"),
        ({"defaultuomid": None}, "0x80043b0d"),
        ({"defaultuomid@odata.bind": f"/uoms({HOUR})"}, "0x80043b16"),
        ({"defaultuomscheduleid@odata.bind": f"/uomschedules({LABOR_SCHEDULE})"}, "0x80043b16"),
        ({"quantitydecimal": None}, "0x80043b07"),
    ],
)
def test_changes_that_are_refused(client: Client, change: dict[str, object], code: str) -> None:
    refused(client.patch(f"products({PHONE})", change), 400, code)


def test_schedule_and_unit_change_together(client: Client) -> None:
    change = {
        "defaultuomscheduleid@odata.bind": f"/uomschedules({LABOR_SCHEDULE})",
        "defaultuomid@odata.bind": f"/uoms({HOUR})",
        "productnumber": "PHON-ATT-53WH",
    }
    assert client.patch(f"products({PHONE})", change).status_code == 204
    assert read(client, PHONE)["_defaultuomid_value"] == HOUR


def test_what_is_set_at_create_only_and_at_update_only(client: Client) -> None:
    product_id = client.create("products", product(**{"pricelevelid@odata.bind": f"/pricelevels({RETAIL})"}))
    assert read(client, product_id)["_pricelevelid_value"] is None
    change = {"pricelevelid@odata.bind": f"/pricelevels({RETAIL})", "productstructure": 2}
    assert client.patch(f"products({product_id})", change).status_code == 204
    row = read(client, product_id)
    assert (row["_pricelevelid_value"], row["productstructure"]) == (RETAIL, 1)


# ---------------------------------------------------------------- life cycle


STEPS = {
    "draft": [],
    "active": [ACTIVATE],
    "retired": [ACTIVATE, RETIRE],
    "revised": [ACTIVATE, REVISE],
}


def in_state(client: Client, name: str) -> str:
    product_id = client.create("products", product())
    for step in STEPS[name]:
        assert client.patch(f"products({product_id})", step).status_code == 204
    return product_id


@pytest.mark.parametrize(
    ("name", "change"),
    [("draft", ACTIVATE), ("active", RETIRE), ("active", REVISE), ("revised", ACTIVATE), ("retired", ACTIVATE)],
)
def test_states_that_follow(client: Client, name: str, change: dict[str, int]) -> None:
    product_id = in_state(client, name)
    assert client.patch(f"products({product_id})", {"statecode": change["statecode"]}).status_code == 204
    assert state(client, product_id) == (change["statecode"], change["statuscode"])


@pytest.mark.parametrize(
    ("name", "change", "code"),
    [
        ("draft", RETIRE, "0x8004f978"),
        ("draft", DRAFT, "0x8004f981"),
        ("draft", REVISE, "0x8004f913"),
        ("active", DRAFT, "0x8004f912"),
        ("active", ACTIVATE, "0x8004f982"),
        ("retired", DRAFT, "0x8004f979"),
        ("retired", RETIRE, "0x8004f980"),
        ("retired", REVISE, "0x8004f913"),
        ("revised", DRAFT, "0x80061035"),
        ("revised", REVISE, "0x8004f883"),
        ("revised", RETIRE, "0x80043af9"),
        ("draft", {"statuscode": 1}, "0x80048408"),
        ("active", {"statecode": 1, "statuscode": 1}, "0x80048408"),
    ],
)
def test_states_that_do_not_follow(client: Client, name: str, change: dict[str, int], code: str) -> None:
    product_id = in_state(client, name)
    before = state(client, product_id)
    refused(client.patch(f"products({product_id})", change), 400, code)
    assert state(client, product_id) == before


@pytest.mark.parametrize("name", ["draft", "active", "revised"])
def test_a_product_that_is_not_retired_takes_content(client: Client, name: str) -> None:
    product_id = in_state(client, name)
    assert client.patch(f"products({product_id})", {"name": "Changed"}).status_code == 204
    assert read(client, product_id)["name"] == "Changed"


def test_a_retired_product_is_activated_before_it_changes(client: Client) -> None:
    product_id = in_state(client, "retired")
    for change in ({"name": "Changed"}, {"name": "Changed", **ACTIVATE}):
        refused(client.patch(f"products({product_id})", change), 400, "0x8004f995")
    steps = [("PATCH", f"products({product_id})", change) for change in (ACTIVATE, {"name": "Changed"}, RETIRE)]
    assert outcomes(client.batch(steps)) == [204] * 3
    assert read(client, product_id)["name"] == "Changed"


def test_changed_and_retired_at_once(client: Client) -> None:
    product_id = in_state(client, "active")
    assert client.patch(f"products({product_id})", {"name": "Changed", **RETIRE}).status_code == 204
    assert (read(client, product_id)["name"], state(client, product_id)) == ("Changed", (1, 2))


def test_families_are_published_first_and_revised_before_they_change(client: Client) -> None:
    family = client.create("products", product("FAMILY", productstructure=2))
    child = client.create("products", product(**{"parentproductid@odata.bind": f"/products({family})"}))
    refused(client.patch(f"products({child})", ACTIVATE), 400, "0x8004f909")
    for product_id in (family, child):
        assert client.patch(f"products({product_id})", ACTIVATE).status_code == 204
    refused(client.patch(f"products({family})", {"name": "x"}), 400, "0x8004f995")
    for change in (REVISE, {"name": "x"}, ACTIVATE):
        assert client.patch(f"products({family})", change).status_code == 204
    for product_id in (child, family):
        assert client.patch(f"products({product_id})", RETIRE).status_code == 204
        refused(client.patch(f"products({product_id})", ACTIVATE), 400, "0x80081017")
    reply = client.post("products", product("C", **{"parentproductid@odata.bind": f"/products({family})"}))
    refused(reply, 400, "0x8004f906")


@pytest.mark.parametrize("name", ["draft", "retired", "revised"])
def test_only_active_products_go_on_lines(client: Client, name: str) -> None:
    line = product_line(**{"productid@odata.bind": f"/products({in_state(client, name)})"})
    refused(client.post(f"salesorders({client.order()})/order_details", line), 400, "0x8004f908")
    refused(client.post(f"invoices({client.invoice()})/invoice_details", line), 400, "0x8004f908")


def test_a_product_in_use_is_not_deleted(client: Client) -> None:
    product_id = in_state(client, "active")
    price = {"pricelevelid@odata.bind": f"/pricelevels({RETAIL})", "productid@odata.bind": f"/products({product_id})",
             "uomid@odata.bind": f"/uoms({EACH})", "amount": 10}  # fmt: skip
    client.create("productpricelevels", price)
    line = product_line(**{"productid@odata.bind": f"/products({product_id})"})
    invoice_id = client.invoice(invoice_details=[line])
    refused(client.delete(f"products({product_id})"), 405, "0x80040227", "invoicedetail")
    client.delete(f"invoices({invoice_id})")
    assert client.delete(f"products({product_id})").status_code == 204
    assert len(client.read("productpricelevels")["value"]) == 1


# ---------------------------------------------------------------- price lists


def test_price_lists_have_names_of_their_own(client: Client) -> None:
    currency = {"transactioncurrencyid@odata.bind": f"/transactioncurrencies({USD})"}
    wholesale = client.create("pricelevels", {"name": "WHOLESALE", **currency})
    row = client.read(f"pricelevels({wholesale})")
    assert (row["statecode"], row["statuscode"]) == (0, 100001)
    refused(client.post("pricelevels", currency), 400, "0x80043b0e")
    refused(client.post("pricelevels", {"name": "retail", **currency}), 400, "0x80043b0f")
    refused(client.patch(f"pricelevels({wholesale})", {"name": "RETAIL"}), 400, "0x80043b0f")
    assert client.patch(f"pricelevels({wholesale})", {"name": "Wholesale"}).status_code == 204


def price(**values: object) -> dict[str, object]:
    body = {
        "pricelevelid@odata.bind": f"/pricelevels({RETAIL})",
        "productid@odata.bind": f"/products({PHONE})",
        "uomid@odata.bind": f"/uoms({EACH})",
        "amount": 10,
        **values,
    }
    return {name: value for name, value in body.items() if value is not None}


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({}, "0x80043b08"),
        ({"pricelevelid@odata.bind": None}, "0x80043b12"),
        ({"productid@odata.bind": None}, "0x80043b11"),
        ({"uomid@odata.bind": None}, "0x80043b0d"),
        ({"uomid@odata.bind": f"/uoms({HOUR})"}, "0x80043b14"),
        ({"pricelevelid@odata.bind": f"/pricelevels({EURO_LIST})"}, "0x80048cea"),
        ({"productid@odata.bind": f"/products({RETIRED})"}, "0x80061009"),
        ({"amount": -1}, "0x80040317"),
    ],
)
def test_prices_that_are_refused(client: Client, values: dict[str, object], code: str) -> None:
    refused(client.post("productpricelevels", price(**values)), 400, code)


def test_a_price_is_in_its_lists_currency(client: Client, crm: Emulator) -> None:
    dozen = client.create(
        "uoms",
        {"name": "Dozen", "quantity": 12, "uomscheduleid@odata.bind": f"/uomschedules({EACH_SCHEDULE})",
         "baseuom@odata.bind": f"/uoms({EACH})"},
    )  # fmt: skip
    price_id = client.create("productpricelevels", price(**{"uomid@odata.bind": f"/uoms({dozen})"}))
    row = client.read(f"productpricelevels({price_id})")
    assert (row["_transactioncurrencyid_value"], row["_uomscheduleid_value"], row["pricingmethodcode"]) == (
        USD, EACH_SCHEDULE, 1,
    )  # fmt: skip
    assert client.patch(f"productpricelevels({price_id})", {"amount": 11}).status_code == 204
    refused(client.patch(f"productpricelevels({price_id})", {"uomid@odata.bind": f"/uoms({EACH})"}), 400, "0x80043b08")
    refused(client.delete(f"pricelevels({RETAIL})"), 405, "0x80040227")
