"""Reading many: filters, expansion, pages, annotations, change tracking."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Literal
from urllib.parse import quote
from uuid import uuid4

import pytest

from emulator import Emulator
from emulator.values import ListLexer
from tests.emulator.web_api import AARON, ASTOR, EACH, EACH_SCHEDULE, EUR, TEAM, Client, product_line, refused, write_in


def names(client: Client, condition: str, entity_set: str = "salesorders") -> list[str]:
    found = client.read(f"{entity_set}?$select=name&$filter={quote(condition)}")
    return [row["name"] for row in found["value"]]


@pytest.fixture
def orders(client: Client) -> list[str]:
    """ORD1 … ORD5; even ones have a description, amounts are 10 × the number."""
    return [
        client.order(
            f"ORD{number}",
            freightamount=number * 10,
            requestdeliveryby=f"2026-01-0{number}T05:00:00Z",
            **({"description": f"It's {number}"} if number % 2 == 0 else {}),
        )
        for number in range(1, 6)
    ]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("name eq 'ORD1'", "1"),
        ("name eq 'ord1  '", "1"),
        ("'ORD1' eq name", "1"),
        ("name ne 'ORD1'", "2345"),
        ("freightamount gt 30", "45"),
        ("freightamount ge 30.0 and freightamount lt 5e1", "34"),
        ("freightamount le 20 or name eq 'ORD5'", "125"),
        ("not (freightamount le 20 or name eq 'ORD5')", "34"),
        ("description eq null", "135"),
        ("description ne null", "24"),
        ("description eq 'It''s 2'", "2"),
        ("description ne 'It''s 2'", "4"),
        ("not contains(description,'2')", "4"),
        ("contains(name,'rd3')", "3"),
        ("startswith(name,'ord') and endswith(name,'4')", "4"),
        ("requestdeliveryby lt 2026-01-03", "12"),
        ("requestdeliveryby eq 2026-01-03T05:00:00Z", "3"),
        ("requestdeliveryby eq 2026-01-03T00:00:00-05:00", "3"),
        ("statecode eq 0 and name eq 'ORD2'", "2"),
        ("willcall eq true", ""),
        ("customerid_account/accountnumber eq 'aaronfit0001'", "12345"),
        ("customerid_account/name eq 'nobody'", ""),
        ("customerid_account/owninguser/new_gpsalespersonid eq 'TERRITORY 1'", "12345"),
        (f"_customerid_value eq {AARON}", "12345"),
        (f"_customerid_value eq {ASTOR}", ""),
        (f"_customerid_value eq {AARON} and (name eq 'ORD1' or name eq 'ORD2')", "12"),
        ("totalamount eq freightamount", "12345"),
    ],
)
def test_filters(client: Client, orders: list[str], condition: str, expected: str) -> None:
    assert names(client, condition) == [f"ORD{digit}" for digit in expected]


IN = "Microsoft.Dynamics.CRM.In(PropertyName={},PropertyValues={})"


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (IN.format("'name'", '["ORD1","ord3 ","no"]'), "13"),
        (IN.format("'name'", "['ORD1','ORD3']"), "13"),
        (IN.format("'freightamount'", '["10","20"]'), "12"),
        (IN.format("'statecode'", '["0"]') + " and name eq 'ORD5'", "5"),
        (IN.format("'customerid'", f'["{AARON}"]') + " and name eq 'ORD5'", "5"),
        (IN.format("'_customerid_value'", f'["{{{AARON.upper()}}}"]') + " and name eq 'ORD5'", "5"),
        ("not " + IN.format("'name'", '["ORD1"]'), "2345"),
        ("Microsoft.Dynamics.CRM.NotIn(PropertyName='name',PropertyValues=[\"ORD1\"])", "2345"),
    ],
)
def test_in_lists(client: Client, orders: list[str], condition: str, expected: str) -> None:
    assert names(client, condition) == [f"ORD{digit}" for digit in expected]


def test_in_lists_hold_any_text(crm: Emulator, client: Client) -> None:
    crm.readings.list_lexer = "mended"
    wild = ["O'Brien", 'say "hi"', "a,b", "back\\slash", "brackets ] and ) [", "übung", "a&b=c", "50%", "#1", "end\\"]
    for name in wild:
        client.order(name)
    assert names(client, IN.format("'name'", json.dumps(wild))) == wild
    assert names(client, IN.format("'name'", json.dumps(wild[:1]))) == ["O'Brien"]


MISREAD: dict[tuple[str, ...], tuple[ListLexer, ...]] = {
    ("bracket[",): ("before 7.7", "7.7"),
    ("bracket]",): ("before 7.7", "7.7"),
    ("brackets []",): (),
    ("O'Brien",): ("before 7.7",),
    ("O'Brien's",): (),
    ("'['",): ("7.7",),
    ('say "hi"',): (),
    ("end\\",): (),
    ("end\\", "O'Brien"): ("before 7.7", "7.7"),
}
"""Items in double quotes, and by which versions of the lexer a list of them is not read as it is meant."""


@pytest.mark.parametrize("texts", MISREAD)
@pytest.mark.parametrize("lexer", ["any", "before 7.7", "7.7", "mended"])
def test_lists_are_read_as_one_version_of_the_lexer_reads_them(
    crm: Emulator, client: Client, texts: tuple[str, ...], lexer: ListLexer
) -> None:
    crm.readings.list_lexer = lexer
    for text in texts:
        client.order(text)
    condition = IN.format("'name'", json.dumps(texts))
    reply = client.get(f"salesorders?$select=name&$filter={quote(condition)}")
    if lexer in MISREAD[texts] or (lexer == "any" and MISREAD[texts]):
        assert reply.status_code == 400
    else:
        assert [row["name"] for row in reply.json()["value"]] == list(texts)


def test_in_lists_of_five_hundred(client: Client, orders: list[str]) -> None:
    wanted = [f"ORD{number:017}" for number in range(498)] + ["ORD1", "ORD2"]
    assert names(client, IN.format("'name'", json.dumps(wanted))) == ["ORD1", "ORD2"]


def test_parameter_aliases(client: Client, orders: list[str]) -> None:
    found = client.read("salesorders?$select=name&$filter=name eq @n&@n='ORD4'")
    assert [row["name"] for row in found["value"]] == ["ORD4"]
    call = quote("Microsoft.Dynamics.CRM.In(PropertyName=@p1,PropertyValues=@p2)")
    found = client.read(f"salesorders?$select=name&$filter={call}&@p1='name'&@p2={quote(json.dumps(['ORD2']))}")
    assert [row["name"] for row in found["value"]] == ["ORD2"]


def test_any_line(client: Client) -> None:
    client.order("with", order_details=[product_line(1)])
    client.order("without")
    assert names(client, "order_details/any(line:line/quantity gt 1)") == ["with"]
    assert names(client, "order_details/any()") == ["with"]
    assert names(client, "not order_details/any()") == ["without"]


@pytest.mark.parametrize(
    "condition",
    [
        "", "nosuch eq 1", "Name eq 'x'", "customerid eq 'x'", "name", "name eq", "eq 'x'", "name eq 'x' and",
        "(name eq 'x'", "name eq 'x')", "name equals 'x'", "name eq 5", "statecode eq 'x'", "statecode eq true",
        f"name eq {AARON}", "_customerid_value eq 'x'", "freightamount eq '1'", "name in ('a','b')", "name eq 'x",
        "length(name) gt 5", "contains(freightamount,'1')", "nosuch/name eq 'x'", "createdon eq 'x'",
        "Microsoft.Dynamics.CRM.In(PropertyName='nosuch',PropertyValues=[\"a\"])",
        "Microsoft.Dynamics.CRM.In(PropertyName='name',PropertyValues=[])",
        "Microsoft.Dynamics.CRM.In(PropertyName='name',PropertyValues=[\"a\" \"b\"])",
        "Microsoft.Dynamics.CRM.In(PropertyValues=[\"a\"])",
    ],
)  # fmt: skip
def test_filters_that_are_not_understood(client: Client, condition: str) -> None:
    assert client.get(f"salesorders?$filter={quote(condition)}").status_code == 400


@pytest.mark.parametrize(
    "query",
    ["$skip=5", "$foo=1", "$top=x", "$top=-1", "$count=yes", "$select=nosuch", "$select=Name", "$select=customerid",
     "$select=order_details", "$select=", "$expand=nosuch", "$expand=order_details($skip=1)", "$orderby=nosuch",
     "$orderby=name up", "$select=name&$select=name", "$skiptoken=x", "$search=x"],
)  # fmt: skip
def test_query_options_that_are_not_understood(client: Client, query: str) -> None:
    assert client.get(f"salesorders?{query}").status_code == 400


@pytest.mark.parametrize("query", ["$apply=aggregate(totalamount with sum as t)", "fetchXml=<fetch/>"])
def test_what_the_emulator_cannot_do_says_so(client: Client, query: str) -> None:
    assert client.get(f"salesorders?{quote(query, safe='$=')}").status_code == 501


def test_a_selection_has_what_was_asked_and_the_key(client: Client, orders: list[str]) -> None:
    row = client.read("salesorders?$top=1&$select=name,_customerid_value")["value"][0]
    assert row == {
        "@odata.etag": row["@odata.etag"], "name": "ORD1", "_customerid_value": AARON, "salesorderid": orders[0],
    }  # fmt: skip


def test_without_a_selection_all_columns_come_and_none_but_the_web_apis(client: Client, orders: list[str]) -> None:
    row = client.read("salesorders?$top=1")["value"][0]
    assert {"name", "description", "_customerid_value", "totalamount_base", "billto_composite"} < set(row)
    assert not {"customerid", "customeridname", "owneridtype", "ownerid", "#"} & set(row)


def test_ordering(client: Client, orders: list[str]) -> None:
    found = client.read("salesorders?$select=name&$orderby=description desc,name&$top=3")["value"]
    assert [row["name"] for row in found] == ["ORD4", "ORD2", "ORD1"]
    found = client.read("salesorders?$select=name&$orderby=customerid_account/name,freightamount desc&$top=1")["value"]
    assert found[0]["name"] == "ORD5"


def test_counting(client: Client, orders: list[str]) -> None:
    assert client.read("salesorders?$count=true&$top=2&$filter=freightamount gt 10")["@odata.count"] == 4
    assert client.get("salesorders/$count").text.endswith("5")


# ---------------------------------------------------------------- pages


@pytest.mark.parametrize(
    "query", ["$select=name", "$select=name&$orderby=name desc", "$filter=name ne 'x'&$select=name"]
)
def test_pages_give_each_row_once(client: Client, orders: list[str], query: str) -> None:
    seen, url = [], f"salesorders?{query}"
    for size in (2, 2, 1):
        page = client.read(url, Prefer="odata.maxpagesize=2")
        assert len(page["value"]) == size
        seen += [row["name"] for row in page["value"]]
        url = page.get("@odata.nextLink", "")
    assert (sorted(seen), url) == ([f"ORD{number}" for number in range(1, 6)], "")


def test_a_next_link_is_opaque_and_encoded(client: Client, orders: list[str]) -> None:
    reply = client.get("salesorders?$select=name", Prefer="odata.maxpagesize=2")
    assert reply.headers["Preference-Applied"] == "odata.maxpagesize=2"
    link = reply.json()["@odata.nextLink"]
    assert link.startswith(f"{client.root}salesorders?$select=name&$skiptoken=%3Ccookie%20pagenumber%3D%222%22")


def test_rows_changed_or_deleted_between_pages_disturb_no_page(
    client: Client, crm: Emulator, orders: list[str]
) -> None:
    page = client.read("salesorders?$select=name", Prefer="odata.maxpagesize=2")
    crm.delete("salesorder", orders[0])
    crm.update("salesorder", orders[1], {"description": "changed"})
    following = client.read(page["@odata.nextLink"], Prefer="odata.maxpagesize=2")
    assert [row["name"] for row in following["value"]] == ["ORD3", "ORD4"]


def test_top_takes_no_pages(client: Client, orders: list[str]) -> None:
    page = client.read("salesorders?$top=3", Prefer="odata.maxpagesize=2")
    assert (len(page["value"]), "@odata.nextLink" in page) == (3, False)


def test_a_page_has_at_most_5000_rows(client: Client, crm: Emulator) -> None:
    for number in range(5001):
        crm.insert("pricelevel", {"name": f"L{number}"})
    page = client.read("pricelevels?$select=name&$count=true", Prefer="odata.maxpagesize=9000")
    assert (len(page["value"]), page["@odata.count"]) == (5000, 5000)
    assert len(client.read(page["@odata.nextLink"])["value"]) == 3


# ---------------------------------------------------------------- expansion


def test_lines_and_customer_come_along(client: Client) -> None:
    order_id = client.order(order_details=[product_line(16384), write_in(32768)])
    query = (
        "$select=name&$expand=order_details($select=lineitemnumber;$orderby=lineitemnumber desc),"
        "customerid_account($select=accountnumber),customerid_contact($select=fullname)"
    )
    one = client.read(f"salesorders({order_id})?{query}")
    assert [line["lineitemnumber"] for line in one["order_details"]] == [32768, 16384]
    assert one["customerid_account"]["accountnumber"] == "AARONFIT0001"
    assert one["customerid_contact"] is None
    many = client.read(f"salesorders?{query}")["value"][0]
    assert many["order_details"] == one["order_details"]


def test_an_expansion_can_filter_and_limit(client: Client) -> None:
    client.order(order_details=[product_line(number, quantity=number) for number in (1, 2, 3, 4)])
    query = "$select=name&$expand=order_details($select=quantity;$filter=quantity gt 1;$top=2)"
    lines = client.read(f"salesorders?{query}")["value"][0]["order_details"]
    assert [line["quantity"] for line in lines] == [2, 3]


def test_a_plain_expansion_is_not_paged_and_its_next_link_gives_the_same_rows_again(client: Client) -> None:
    client.order(order_details=[product_line(number) for number in (1, 2, 3)])
    row = client.read("salesorders?$expand=order_details($select=quantity)", Prefer="odata.maxpagesize=1")["value"][0]
    assert len(row["order_details"]) == 3
    link = row["order_details@odata.nextLink"]
    assert "$skiptoken" not in link
    assert client.read(link)["value"] == row["order_details"]


def test_an_expansion_in_an_expansion_pages_the_lines(client: Client) -> None:
    client.order(order_details=[product_line(number) for number in (1, 2, 3)])
    query = "$expand=order_details($select=lineitemnumber;$expand=productid($select=name))"
    row = client.read(f"salesorders?{query}", Prefer="odata.maxpagesize=2")["value"][0]
    assert [line["productid"]["name"] for line in row["order_details"]] == ["Cordless Phone"] * 2
    rest = client.read(row["order_details@odata.nextLink"], Prefer="odata.maxpagesize=2")
    assert [line["lineitemnumber"] for line in rest["value"]] == [3]
    assert rest["value"][0]["productid"]["name"] == "Cordless Phone"


@pytest.mark.parametrize("option", ["$top=1", "$orderby=quantity"])
def test_then_the_lines_can_be_neither_ordered_nor_limited(client: Client, option: str) -> None:
    query = f"$expand=order_details({option};$expand=productid($select=name))"
    refused(client.get(f"salesorders?{query}"), 400, "0x80060888")


def test_at_most_fifteen_expansions(client: Client) -> None:
    many = ",".join(["customerid_account($select=name)"] * 16)
    refused(client.get(f"salesorders?$expand={many}"), 400, "0x80060888", "15")


def test_an_owner_expands_to_a_principal(client: Client) -> None:
    row = client.read(f"accounts({ASTOR})?$select=name&$expand=ownerid")
    assert (row["ownerid"]["ownerid"], row["ownerid"]["@odata.type"]) == (TEAM, "#Microsoft.Dynamics.CRM.team")
    refused(client.get(f"accounts({ASTOR})?$expand=ownerid($select=fullname)"), 400, "0x80060888")
    row = client.read(f"accounts({AARON})?$select=name&$expand=owninguser($select=fullname)")
    assert row["owninguser"]["fullname"] == "Nancy Buchanan"


def test_looking_up_a_unit_by_its_schedules_name(client: Client) -> None:
    found = client.read(
        "uoms?$select=name,_uomscheduleid_value&$filter=name eq 'each' and uomscheduleid/name eq 'EACH'"
    )
    assert [(row["uomid"], row["_uomscheduleid_value"]) for row in found["value"]] == [(EACH, EACH_SCHEDULE)]


# ---------------------------------------------------------------- annotations


def test_annotations_tell_names_tables_and_formatted_values(client: Client) -> None:
    order_id = client.order(
        shippingmethodcode=2, willcall=True, freightamount=1234.5, requestdeliveryby="2026-01-31T05:00:00Z"
    )
    row = client.read(f"salesorders({order_id})", Prefer='odata.include-annotations="*"')
    shown = "@OData.Community.Display.V1.FormattedValue"
    assert row[f"shippingmethodcode{shown}"] == "DHL"
    assert row[f"willcall{shown}"] == "Will Call"
    assert row[f"freightamount{shown}"] == "$1,234.50"
    assert row[f"requestdeliveryby{shown}"] == "1/31/2026"
    assert row[f"statuscode{shown}"] == "New"
    assert row[f"_customerid_value{shown}"] == "Aaron Fitz Electrical"
    assert row["_customerid_value@Microsoft.Dynamics.CRM.lookuplogicalname"] == "account"
    assert row["_customerid_value@Microsoft.Dynamics.CRM.associatednavigationproperty"] == "customerid_account"


def test_annotations_only_as_asked(client: Client) -> None:
    order_id = client.order()
    assert not [name for name in client.read(f"salesorders({order_id})") if "@" in name[1:]]
    row = client.read(
        f"salesorders({order_id})", Prefer='odata.include-annotations="Microsoft.Dynamics.CRM.lookuplogicalname"'
    )
    assert {name.partition("@")[2] for name in row if "@" in name[1:]} == {"Microsoft.Dynamics.CRM.lookuplogicalname"}


def test_base_amounts_are_in_the_base_currency(client: Client) -> None:
    order_id = client.order(freightamount=10, **{"transactioncurrencyid@odata.bind": f"/transactioncurrencies({EUR})"})
    row = client.read(f"salesorders({order_id})")
    assert (row["freightamount_base"], row["exchangerate"]) == (20, Decimal("0.5"))


# ---------------------------------------------------------------- limits of a URL


def test_a_url_may_have_32768_characters(client: Client) -> None:
    room = 32_768 - len("/api/data/v9.2/salesorders?$filter=name%20eq%20''")
    assert client.get(f"salesorders?$filter=name%20eq%20'{'x' * room}'").status_code == 200
    assert client.get(f"salesorders?$filter=name%20eq%20'{'x' * (room + 1)}'").status_code == 414


# ---------------------------------------------------------------- change tracking


def test_change_tracking_tells_changed_and_deleted_rows(client: Client, crm: Emulator, orders: list[str]) -> None:
    start = client.read("salesorders?$select=name", Prefer="odata.track-changes")
    assert len(start["value"]) == 5
    assert client.read(start["@odata.deltaLink"])["value"] == []
    client.patch(f"salesorders({orders[1]})", {"description": "changed"})
    client.delete(f"salesorders({orders[0]})")
    brief = client.order("ORD6")
    client.delete(f"salesorders({brief})")
    delta = client.read(start["@odata.deltaLink"])
    assert [row.get("name", row.get("reason")) for row in delta["value"]] == ["ORD2", "deleted", "deleted"]
    assert {row["id"] for row in delta["value"][1:]} == {orders[0], brief}
    assert delta["value"][1]["@odata.context"].endswith("salesorders/$deletedEntity")
    assert client.read(delta["@odata.deltaLink"])["value"] == []


def test_a_line_that_changes_the_totals_changes_the_order(client: Client, orders: list[str]) -> None:
    start = client.read("salesorders?$select=name", Prefer="odata.track-changes")
    client.create("salesorderdetails", {"salesorderid@odata.bind": f"/salesorders({orders[2]})", **product_line()})
    assert [row["name"] for row in client.read(start["@odata.deltaLink"])["value"]] == ["ORD3"]


@pytest.mark.parametrize("query", ["$filter=name eq 'x'", "$orderby=name", "$top=1"])
def test_change_tracking_takes_no_filter_order_or_top(client: Client, query: str) -> None:
    assert client.get(f"salesorders?{query}", Prefer="odata.track-changes").status_code == 400


def test_which_messages_a_table_supports(client: Client) -> None:
    condition = "sdkmessageid/name eq 'CreateMultiple' and primaryobjecttypecode eq 'salesorder'"
    found = client.read(f"sdkmessagefilters?$filter={condition}&$select=primaryobjecttypecode")
    assert len(found["value"]) == 1


def test_an_organisation_of_many_orders_answers_lists_by_index(client: Client, crm: Emulator) -> None:
    for number in range(3000):
        crm.insert("salesorder", {"salesorderid": str(uuid4()), "name": f"N{number}"})
    wanted = json.dumps([f"N{number}" for number in range(0, 3000, 30)])
    assert len(names(client, IN.format("'name'", wanted))) == 100
    crm.update("salesorder", crm.rows("salesorder")[0]["salesorderid"], {"name": "renamed"})
    assert names(client, "name eq 'N0' or name eq 'RENAMED'") == ["renamed"]


@pytest.mark.parametrize(
    ("entity_set", "id_column", "body", "change"),
    [
        ("accounts", "accountid", {"name": "New"}, {"fax": "1"}),
        ("uomschedules", "uomscheduleid", {"name": "BOX", "baseuomname": "Each"}, {"description": "x"}),
        ("invoices", "invoiceid", {"name": "I1"}, {"statecode": 2}),
    ],
)
def test_change_tracking_of_other_tables(
    client: Client, entity_set: str, id_column: str, body: dict[str, object], change: dict[str, object]
) -> None:
    link = client.read(f"{entity_set}?$select=name", Prefer="odata.track-changes")["@odata.deltaLink"]
    row_id = client.create(entity_set, body)
    delta = client.read(link)
    assert [row[id_column] for row in delta["value"]] == [row_id]
    client.patch(f"{entity_set}({row_id})", change)
    delta = client.read(delta["@odata.deltaLink"])
    assert [row[id_column] for row in delta["value"]] == [row_id]
    client.delete(f"{entity_set}({row_id})")
    (gone,) = client.read(delta["@odata.deltaLink"])["value"]
    assert (gone["id"], gone["reason"]) == (row_id, "deleted")


def test_a_long_list_of_changes_comes_in_pages_and_each_change_once(client: Client, crm: Emulator) -> None:
    gone = [crm.insert("uomschedule", {"name": f"GONE{number}"}) for number in range(3)]
    start = client.read("uomschedules?$select=name", Prefer="odata.track-changes")
    for row_id in gone:
        client.delete(f"uomschedules({row_id})")
    for number in range(4_999):
        crm.insert("uomschedule", {"name": f"NEW{number}"})
    first = client.read(start["@odata.deltaLink"])
    second = client.read(first["@odata.nextLink"])
    assert (len(first["value"]), len(second["value"])) == (5_000, 2)
    told = [row.get("name") or row["id"] for row in first["value"] + second["value"]]
    assert sorted(told) == sorted([*gone, *(f"NEW{number}" for number in range(4_999))])
    assert client.read(second["@odata.deltaLink"])["value"] == []


def test_change_tracking_tells_what_a_record_brought_along(client: Client) -> None:
    """A base unit comes with its group; an account's new owner is its orders' owner."""
    link = client.read("uoms?$select=name", Prefer="odata.track-changes")["@odata.deltaLink"]
    client.create("uomschedules", {"name": "BOX", "baseuomname": "Single"})
    assert [row["name"] for row in client.read(link)["value"]] == ["Single"]
    order_id = client.order()
    link = client.read("salesorders?$select=name", Prefer="odata.track-changes")["@odata.deltaLink"]
    client.patch(f"accounts({AARON})", {"ownerid@odata.bind": f"/teams({TEAM})"})
    assert [row["salesorderid"] for row in client.read(link)["value"]] == [order_id]


@pytest.mark.parametrize("answer", ["refused", "everything"])
def test_a_link_to_changes_expires(
    client: Client, crm: Emulator, orders: list[str], answer: Literal["refused", "everything"]
) -> None:
    link = client.read("salesorders?$select=name", Prefer="odata.track-changes")["@odata.deltaLink"]
    crm.delete("salesorder", orders[0])
    crm.expire_links(answer)
    if answer == "refused":
        refused(client.get(link), 410, "0x80072495")
    else:
        left = client.read(link)["value"]
        assert sorted(row["salesorderid"] for row in left) == sorted(orders[1:]), "what is gone is not told any more"
    link = client.read("salesorders?$select=name", Prefer="odata.track-changes")["@odata.deltaLink"]
    assert client.read(link)["value"] == []


def test_a_table_is_tracked_or_not(client: Client, crm: Emulator) -> None:
    definition = "EntityDefinitions(LogicalName='salesorder')?$select=ChangeTrackingEnabled"
    assert client.read(definition)["ChangeTrackingEnabled"] is True
    crm.track_changes("salesorder", on=False)
    assert client.read(definition)["ChangeTrackingEnabled"] is False
    refused(client.get("salesorders?$select=name", Prefer="odata.track-changes"), 400, "0x80072491")
    crm.track_changes("salesorder")
    assert client.read("salesorders?$select=name", Prefer="odata.track-changes")["@odata.deltaLink"]
