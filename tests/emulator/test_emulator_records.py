"""Creating, reading, changing and deleting records, as strictly as Dataverse."""

from __future__ import annotations

from decimal import Decimal
from uuid import uuid4

import pytest

from emulator import Emulator
from tests.emulator.web_api import (
    AARON,
    ASTOR,
    CALLER,
    EUR,
    EURO_LIST,
    PHONE,
    REP,
    RETAIL,
    TEAM,
    USD,
    Client,
    order,
    product_line,
    refused,
)

# ---------------------------------------------------------------- create


def test_a_create_answers_204_with_the_records_url(client: Client) -> None:
    reply = client.post("salesorders", order())
    assert (reply.status_code, reply.content) == (204, b"")
    record = reply.headers["OData-EntityId"]
    assert record.startswith(f"{client.root}salesorders(")
    assert client.read(record)["name"] == "ORDST2225"


def test_a_create_can_give_back_the_record(client: Client) -> None:
    reply = client.post("salesorders?$select=name", order(), Prefer="return=representation")
    assert reply.status_code == 201
    assert reply.json()["name"] == "ORDST2225"
    assert set(reply.json()) == {"@odata.context", "@odata.etag", "name", "salesorderid"}


def test_the_client_may_choose_the_id(client: Client) -> None:
    chosen = str(uuid4()).upper()
    assert client.order(salesorderid=chosen) == chosen.lower()


def test_an_id_taken_is_a_duplicate(client: Client) -> None:
    order_id = client.order()
    refused(client.post("salesorders", order(salesorderid=order_id)), 412, "0x80040237")


def test_a_new_record_belongs_to_its_creator_and_has_the_base_currency(client: Client) -> None:
    row = client.read(f"salesorders({client.order()})")
    assert row["_ownerid_value"] == row["_owninguser_value"] == row["_createdby_value"] == CALLER
    assert row["_transactioncurrencyid_value"] == USD
    assert row["createdon"].endswith("Z")
    assert row["ordernumber"].startswith("ORD-01000-")


def test_an_order_can_come_with_its_lines(client: Client, crm: Emulator) -> None:
    order_id = client.order(order_details=[product_line(16384), product_line(32768)])
    lines = crm.rows("salesorderdetail")
    assert [line["lineitemnumber"] for line in lines] == [16384, 32768]
    assert {line["salesorderid"]["id"] for line in lines} == {order_id}


def test_one_bad_line_leaves_nothing(client: Client, crm: Emulator) -> None:
    reply = client.post("salesorders", order(order_details=[product_line(), product_line(quantity=None)]))
    refused(reply, 400, "0x80081012")
    assert crm.rows("salesorder") == crm.rows("salesorderdetail") == []


# ---------------------------------------------------------------- what a body may hold


@pytest.mark.parametrize(
    "name",
    ["datedelivered", "Name", "customerid", "salesrepid", "customeridname", "new_other"],
)
def test_an_unknown_property_is_refused(client: Client, name: str) -> None:
    refused(client.post("salesorders", order(**{name: "x"})), 400, "0x80048d19", name.split("@")[0])


@pytest.mark.parametrize("name", ["CustomerId_Account", "customerid", "PriceLevelId", "customerid_lead"])
def test_a_navigation_property_in_the_wrong_case_is_undeclared(client: Client, name: str) -> None:
    reply = client.post("salesorders", {f"{name}@odata.bind": f"/accounts({AARON})"})
    refused(reply, 400, "0x80048d19", f"An undeclared property '{name}'")


def test_a_custom_look_up_is_bound_by_its_schema_name(client: Client) -> None:
    refused(client.patch(f"accounts({ASTOR})", {"new_parentid@odata.bind": f"/accounts({AARON})"}), 400, "0x80048d19")
    assert client.patch(f"accounts({ASTOR})", {"new_ParentId@odata.bind": f"/accounts({AARON})"}).status_code == 204
    assert client.read(f"accounts({ASTOR})?$select=_new_parentid_value")["_new_parentid_value"] == AARON


def test_a_look_ups_value_cannot_be_written(client: Client) -> None:
    refused(client.post("salesorders", {"_customerid_value": AARON}), 400, "0x80048d19", "Navigation properties")


def test_columns_not_valid_for_create_are_silently_dropped(client: Client) -> None:
    order_id = client.order(totalamount=99, totaltax=9, statecode=0, versionnumber=7, createdon="2000-01-01T00:00:00Z")
    row = client.read(f"salesorders({order_id})")
    assert (row["totalamount"], row["totaltax"], row["statecode"]) == (0, 0, 0)
    assert row["createdon"] > "2020"


def test_columns_not_valid_for_update_are_silently_dropped(client: Client) -> None:
    order_id = client.order(ordernumber="A-1")
    changes = {
        "ordernumber": "A-2",
        "transactioncurrencyid@odata.bind": f"/transactioncurrencies({EUR})",
        "importsequencenumber": 3,
    }
    assert client.patch(f"salesorders({order_id})", changes).status_code == 204
    row = client.read(f"salesorders({order_id})")
    assert (row["ordernumber"], row["_transactioncurrencyid_value"], row["importsequencenumber"]) == ("A-1", USD, None)


@pytest.mark.parametrize(
    ("column", "value", "code", "word"),
    [
        ("name", "x" * 301, "0x80044331", "'300'"),
        ("description", "x" * 2001, "0x80044331", "'2000'"),
        ("billto_postalcode", "x" * 21, "0x80044331", "'20'"),
        ("paymenttermscode", 5, "0x8004431a", "1,2,3,4"),
        ("discountpercentage", Decimal("100.01"), "0x80044330", "discountpercentage"),
        ("submitstatus", -1, "0x8004432f", "submitstatus"),
        ("submitstatus", 2**31, "0x8004432f", "submitstatus"),
        ("freightamount", Decimal("-0.01"), "0x80040317", "freightamount"),
        ("freightamount", Decimal("1000000000000.01"), "0x80040317", "freightamount"),
        ("discountamount", Decimal("1E+40"), "0x80040317", "discountamount"),
        ("description", "a\x0bb", "0x80040278", "0x0B"),
        ("name", "\x00", "0x80040278", "'name'"),
        ("name", "\ufffe", "0x80040278", "0xFFFE"),
        ("requestdeliveryby", "1752-12-31T00:00:00Z", "0x80040239", "1753"),
        ("requestdeliveryby", "9999-12-31T00:00:00Z", "0x80040239", "9999-12-30"),
    ],
)
def test_values_out_of_range_have_their_codes(client: Client, column: str, value: object, code: str, word: str) -> None:
    refused(client.post("salesorders", order(**{column: value})), 400, code, word)


@pytest.mark.parametrize(
    ("column", "value", "edm_type"),
    [
        ("name", 5, "Edm.String"),
        ("freightamount", "12.5", "Edm.Decimal"),
        ("willcall", 1, "Edm.Boolean"),
        ("submitstatus", Decimal("1.5"), "Edm.Int32"),
        ("submitstatus", True, "Edm.Int32"),
        ("paymenttermscode", "1", "Edm.Int32"),
        ("requestdeliveryby", "2026-01-31", "Edm.DateTimeOffset"),
        ("requestdeliveryby", "2026-01-31T00:00:00", "Edm.DateTimeOffset"),
        ("requestdeliveryby", "2026-02-30T00:00:00Z", "Edm.DateTimeOffset"),
        ("new_reviewed", "2026-01-31T00:00:00Z", "Edm.Date"),
        ("billto_addressid", "no-guid", "Edm.Guid"),
    ],
)
def test_values_of_another_kind_are_refused(client: Client, column: str, value: object, edm_type: str) -> None:
    reply = client.post("salesorders", order(**{column: value}))
    refused(reply, 400, "0x80048d19", "Cannot convert the literal", edm_type)


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("12.345", "12.35"),
        ("12.344999", "12.34"),
        ("0.004", "0"),
        ("-0.004", "0"),
        ("1000000000000.004", "1000000000000"),
    ],
)
def test_money_is_rounded_half_away_from_zero_before_its_range_is_checked(
    client: Client, sent: str, stored: str
) -> None:
    order_id = client.order(freightamount=Decimal(sent))
    assert client.read(f"salesorders({order_id})?$select=freightamount")["freightamount"] == Decimal(stored)


def test_a_unit_price_has_the_organisations_pricing_precision(client: Client, crm: Emulator) -> None:
    client.order(order_details=[product_line(priceperunit=Decimal("1.23455"), quantity=1)])
    (line,) = crm.rows("salesorderdetail")
    assert (line["priceperunit"], line["baseamount"]) == (Decimal("1.2346"), Decimal("1.23"))


def test_an_instant_with_an_offset_is_stored_in_utc_to_the_second(client: Client) -> None:
    order_id = client.order(requestdeliveryby="2026-01-31T00:00:00.500-05:00")
    assert client.read(f"salesorders({order_id})")["requestdeliveryby"] == "2026-01-31T05:00:00Z"


def test_an_empty_text_is_stored_as_null(client: Client) -> None:
    assert client.read(f"salesorders({client.order(description='')})")["description"] is None


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b'{"freightamount": NaN}', b""])
def test_what_is_no_json_object_is_refused(client: Client, body: bytes) -> None:
    assert client.post("salesorders", body).status_code == 400


def test_a_body_must_say_that_it_is_json(client: Client) -> None:
    assert client.post("salesorders", b"{}", Content_Type="text/plain").status_code == 415


# ---------------------------------------------------------------- look-ups


def test_a_look_up_is_bound_by_url_or_by_alternate_key(client: Client) -> None:
    for bound in (
        f"/accounts({AARON})",
        f"accounts({AARON})",
        f"{client.root}accounts({AARON})",
        "/accounts(accountnumber='AARONFIT0001')",
    ):
        order_id = client.create("salesorders", {"name": "x", "customerid_account@odata.bind": bound})
        assert client.read(f"salesorders({order_id})")["_customerid_value"] == AARON


def test_a_look_up_to_nothing_is_refused(client: Client) -> None:
    missing = str(uuid4())
    refused(
        client.post("salesorders", order(**{"pricelevelid@odata.bind": f"/pricelevels({missing})"})),
        404,
        "0x80040217",
        missing,
    )
    refused(
        client.post("salesorders", {"customerid_account@odata.bind": "/accounts(accountnumber='NO')"}),
        404,
        "0x80060891",
    )
    refused(client.post("salesorders", {"customerid_account@odata.bind": "/nothing(1)"}), 404, "0x80060888")


def test_a_look_up_to_another_table_is_refused(client: Client) -> None:
    refused(client.post("salesorders", {"pricelevelid@odata.bind": f"/accounts({AARON})"}), 400, "0x80048d19")


def test_a_null_bind_is_refused_but_a_null_navigation_property_clears(client: Client) -> None:
    order_id = client.order(**{"pricelevelid@odata.bind": f"/pricelevels({RETAIL})"})
    refused(
        client.patch(f"salesorders({order_id})", {"pricelevelid@odata.bind": None}), 400, "0x80048d19", "null value"
    )
    assert client.patch(f"salesorders({order_id})", {"pricelevelid": None}).status_code == 204
    assert client.read(f"salesorders({order_id})")["_pricelevelid_value"] is None


def test_a_reference_can_be_deleted_and_put(client: Client) -> None:
    order_id = client.order(**{"pricelevelid@odata.bind": f"/pricelevels({RETAIL})"})
    assert client.delete(f"salesorders({order_id})/pricelevelid/$ref").status_code == 204
    assert client.get(f"salesorders({order_id})/pricelevelid").status_code == 204
    address = {"@odata.id": f"{client.root}pricelevels({RETAIL})"}
    assert client.send("PUT", f"salesorders({order_id})/pricelevelid/$ref", address).status_code == 204
    assert client.read(f"salesorders({order_id})/pricelevelid")["name"] == "RETAIL"


def test_the_currency_of_the_price_list_must_be_the_orders(client: Client) -> None:
    euro_list = {"pricelevelid@odata.bind": f"/pricelevels({EURO_LIST})"}
    refused(client.post("salesorders", order(**euro_list)), 400, "0x80048cf6")
    refused(client.patch(f"salesorders({client.order()})", euro_list), 400, "0x80048cf6")
    in_euro = {"transactioncurrencyid@odata.bind": f"/transactioncurrencies({EUR})"}
    assert client.post("salesorders", order(**euro_list, **in_euro)).status_code == 204


def test_an_owner_is_a_user_or_a_team(client: Client) -> None:
    order_id = client.order(**{"ownerid@odata.bind": f"/teams({TEAM})"})
    row = client.read(f"salesorders({order_id})", Prefer='odata.include-annotations="*"')
    assert (row["_ownerid_value"], row["_owningteam_value"], row["_owninguser_value"]) == (TEAM, TEAM, None)
    assert row["_ownerid_value@Microsoft.Dynamics.CRM.lookuplogicalname"] == "team"


# ---------------------------------------------------------------- update, upsert


def test_an_update_changes_only_what_it_names(client: Client) -> None:
    order_id = client.order(description="old", billto_city="Chicago")
    assert client.patch(f"salesorders({order_id})", {"description": "new"}).status_code == 204
    row = client.read(f"salesorders({order_id})")
    assert (row["description"], row["billto_city"]) == ("new", "Chicago")


def test_patching_an_id_that_is_not_there_creates_it(client: Client) -> None:
    chosen = str(uuid4())
    reply = client.patch(f"salesorders({chosen})", order())
    assert (reply.status_code, reply.headers["OData-EntityId"]) == (204, f"{client.root}salesorders({chosen})")
    assert client.patch(f"salesorders({chosen})", order(), Prefer="return=representation").status_code == 200
    assert client.patch(f"salesorders({uuid4()})", order(), Prefer="return=representation").status_code == 201


def test_if_match_any_only_updates(client: Client) -> None:
    refused(client.patch(f"salesorders({uuid4()})", order(), If_Match="*"), 404, "0x80040217")
    assert client.patch(f"salesorders({client.order()})", {"name": "x"}, If_Match="*").status_code == 204


def test_if_none_match_any_only_creates(client: Client) -> None:
    refused(client.patch(f"salesorders({client.order()})", order(), If_None_Match="*"), 412, "0x80040237")
    assert client.patch(f"salesorders({uuid4()})", order(), If_None_Match="*").status_code == 204


def test_a_stale_version_is_refused(client: Client) -> None:
    order_id = client.order()
    etag = client.read(f"salesorders({order_id})")["@odata.etag"]
    assert client.patch(f"salesorders({order_id})", {"name": "new"}, If_Match=etag).status_code == 204
    refused(client.patch(f"salesorders({order_id})", {"name": "newer"}, If_Match=etag), 412, "0x80060882")
    refused(client.delete(f"salesorders({order_id})", If_Match=etag), 412, "0x80060882")


def test_a_read_with_the_current_version_is_not_modified(client: Client) -> None:
    order_id = client.order()
    etag = client.get(f"salesorders({order_id})").headers["ETag"]
    assert client.get(f"salesorders({order_id})", If_None_Match=etag).status_code == 304
    assert client.get(f"salesorders({order_id})", If_None_Match="null").status_code == 200


def test_one_property_can_be_read_put_and_deleted(client: Client) -> None:
    order_id = client.order(description="old")
    assert client.send("PUT", f"salesorders({order_id})/description", {"value": "new"}).status_code == 204
    assert client.read(f"salesorders({order_id})/description")["value"] == "new"
    assert client.get(f"salesorders({order_id})/description/$value").text.endswith("new")
    assert client.delete(f"salesorders({order_id})/description").status_code == 204
    assert client.get(f"salesorders({order_id})/description").status_code == 204


def test_records_inside_an_update_are_refused(client: Client) -> None:
    refused(client.patch(f"salesorders({client.order()})", {"order_details": [product_line()]}), 400, "0x80060888")


# ---------------------------------------------------------------- alternate keys


def test_an_upsert_by_key_answers_with_the_key_not_the_id(client: Client, crm: Emulator) -> None:
    path = "accounts(accountnumber='NEW1')"
    for name in ("New", "Newer"):
        reply = client.patch(path, {"name": name})
        assert (reply.status_code, reply.headers["OData-EntityId"]) == (204, client.root + path)
    assert [row["name"] for row in crm.rows("account") if row["accountnumber"] == "NEW1"] == ["Newer"]


def test_on_create_the_body_wins_over_the_key_in_the_url(client: Client, crm: Emulator) -> None:
    client.patch("accounts(accountnumber='URL')", {"name": "x", "accountnumber": "BODY"})
    assert [row["accountnumber"] for row in crm.rows("account")][-1] == "BODY"


def test_a_key_of_a_look_up_and_a_number(client: Client) -> None:
    order_id = client.order(order_details=[product_line(16384)])
    path = f"salesorderdetails(_salesorderid_value={order_id},lineitemnumber=16384)"
    assert client.read(f"{path}?$select=quantity")["quantity"] == 2
    refused(client.get(path.replace("16384", "1")), 404, "0x80060891")


def test_an_undeclared_key_is_refused(client: Client) -> None:
    refused(client.get("salesorders(name='ORDST2225')"), 400, "0x80060890", "not valid for resource")
    refused(client.get("accounts(name='x',accountnumber='y')"), 400, "0x80060890")


@pytest.mark.parametrize("char", ["%2F", "%3C", "%3E", "*", "%25", "%26", ":", "%5C", "%3F", "%2B"])
def test_a_key_value_with_a_character_that_urls_give_meaning_cannot_be_used(client: Client, char: str) -> None:
    assert client.get(f"accounts(accountnumber='A{char}B')").status_code == 400


def test_two_records_cannot_have_one_key(client: Client) -> None:
    refused(
        client.post("accounts", {"name": "x", "accountnumber": "aaronfit0001"}), 412, "0x80060892", "accountnumber_key"
    )
    refused(client.patch(f"accounts({ASTOR})", {"accountnumber": "AARONFIT0001"}), 412, "0x80060892")


def test_a_user_has_no_named_primary_key_but_ownerid(client: Client) -> None:
    refused(client.get(f"systemusers(systemuserid={REP})"), 400, "0x80060890")
    assert client.read(f"systemusers(ownerid={REP})")["fullname"] == "Nancy Buchanan"
    assert client.read(f"accounts(accountid={AARON})")["accountnumber"] == "AARONFIT0001"


# ---------------------------------------------------------------- delete


def test_deleting_an_order_deletes_its_lines(client: Client, crm: Emulator) -> None:
    order_id = client.order(order_details=[product_line()])
    assert client.delete(f"salesorders({order_id})").status_code == 204
    assert crm.rows("salesorder") == crm.rows("salesorderdetail") == []
    refused(client.delete(f"salesorders({order_id})"), 404, "0x80040217")


def test_what_is_in_use_cannot_be_deleted(client: Client, crm: Emulator) -> None:
    order_id = client.order(order_details=[product_line()])
    refused(client.delete(f"accounts({AARON})"), 405, "0x80040227")
    refused(client.delete(f"products({PHONE})"), 405, "0x80040227")
    crm.insert("invoice", {"name": "I1", "salesorderid": {"table": "salesorder", "id": order_id}})
    refused(client.delete(f"salesorders({order_id})"), 405, "0x80040227")


# ---------------------------------------------------------------- addresses


@pytest.mark.parametrize("path", ["nothing", "Salesorders", "salesorder", "salesorders(x)/nothing", "Foo()"])
def test_unknown_resources_are_not_found(client: Client, path: str) -> None:
    path = path.replace("(x)", f"({client.order()})")
    assert client.get(path).status_code == 404


def test_an_unknown_action_is_not_found(client: Client) -> None:
    refused(client.post("NoSuchAction", {}), 404, "0x80060888")
    refused(client.post("salesorders/Microsoft.Dynamics.CRM.NoSuchAction", {}), 404, "0x80060888")


def test_a_record_that_is_not_there(client: Client) -> None:
    missing = str(uuid4())
    refused(client.get(f"accounts({missing})"), 404, "0x80040217", f"account With Id = {missing} Does Not Exist")


def test_lines_below_their_order(client: Client) -> None:
    order_id = client.order(order_details=[product_line(1), product_line(2)])
    assert [line["lineitemnumber"] for line in client.read(f"salesorders({order_id})/order_details")["value"]] == [1, 2]
    assert client.get(f"salesorders({order_id})/order_details/$count").text.endswith("2")
    assert client.post(f"salesorders({order_id})/order_details", product_line(3)).status_code == 204
    assert client.read(f"salesorders({order_id})/customerid_account?$select=name")["name"] == "Aaron Fitz Electrical"


def test_all_versions_of_the_url_are_served_but_unknown_ones_are_not(client: Client, crm: Emulator) -> None:
    assert client.get(f"{crm.url}/api/data/v9.0/WhoAmI").status_code == 200
    assert client.get(f"{crm.url}/api/data/v7.0/WhoAmI").status_code == 404


def test_rows_are_changed_behind_crms_back_with_a_new_version(client: Client, crm: Emulator) -> None:
    order_id = client.order()
    before = client.read(f"salesorders({order_id})")["@odata.etag"]
    crm.update("salesorder", order_id, {"description": "by hand", "billto_city": None})
    row = client.read(f"salesorders({order_id})")
    assert row["description"] == "by hand"
    assert row["@odata.etag"] != before
    crm.delete("salesorder", order_id)
    assert client.get(f"salesorders({order_id})").status_code == 404
