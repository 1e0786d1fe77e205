"""Accounts: defaults, states, parents, owners and what an owner's change does below."""

from __future__ import annotations

from decimal import Decimal

import pytest

from emulator import Emulator
from tests.emulator.web_api import (
    AARON,
    ASTOR,
    CALLER,
    REP,
    TEAM,
    Client,
    look_up,
    order,
    outcomes,
    product_line,
    refused,
)

INACTIVE, ACTIVE = {"statecode": 1, "statuscode": 2}, {"statecode": 0, "statuscode": 1}


def below(parent: str) -> dict[str, str]:
    return {"parentaccountid@odata.bind": f"/accounts({parent})"}


# ---------------------------------------------------------------- content and states


def test_a_new_account(client: Client) -> None:
    account = client.create("accounts", {"name": "New", "creditlimit": Decimal("1000.005"), "customertypecode": 3})
    row = client.read(f"accounts({account})")
    assert (row["statecode"], row["statuscode"], row["_ownerid_value"]) == (0, 1, CALLER)
    assert (row["creditlimit"], row["creditonhold"], row["shippingmethodcode"], row["merged"]) == (
        Decimal("1000.01"), False, 1, False,
    )  # fmt: skip
    assert row["address1_shippingmethodcode"] is None


def test_two_accounts_may_have_one_number(crm: Emulator) -> None:
    for table in crm.schema.tables.values():
        table.keys.clear()
    client = Client(crm)
    for _ in range(2):
        client.create("accounts", {"name": "New", "accountnumber": "AARONFIT0001"})
    found = client.read("accounts?$filter=accountnumber eq 'AARONFIT0001'")
    assert len(found["value"]) == 3


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"accountnumber": "x" * 21}, "0x80044331"),
        ({"creditlimit": -1}, "0x80040317"),
        ({"paymenttermscode": 5}, "0x8004431a"),
        ({"address2_shippingmethodcode": 2}, "0x8004431a"),
        ({"statuscode": 2}, "0x80048408"),
    ],
)
def test_values_that_are_refused(client: Client, change: dict[str, object], code: str) -> None:
    refused(client.post("accounts", {"name": "x", **change}), 400, code)
    refused(client.patch(f"accounts({ASTOR})", change), 400, code)


def test_an_account_is_deactivated_changed_and_activated_by_updates(client: Client) -> None:
    for change in (INACTIVE, {"fax": "1"}, {"fax": "2", **ACTIVE}, {"statecode": 1}):
        assert client.patch(f"accounts({AARON})", change).status_code == 204
    row = client.read(f"accounts({AARON})")
    assert (row["statecode"], row["statuscode"], row["fax"]) == (1, 2, "2")


def test_an_account_in_use_is_not_deleted(client: Client) -> None:
    client.invoice()
    refused(client.delete(f"accounts({AARON})"), 405, "0x80040227", "invoice")


# ---------------------------------------------------------------- addresses


def addresses(client: Client, account: str) -> list[tuple[int, str | None, str | None]]:
    rows = client.read(f"accounts({account})/Account_CustomerAddress?$orderby=addressnumber")["value"]
    return [(row["addressnumber"], row["name"], row["city"]) for row in rows]


def test_an_account_has_two_address_rows_that_follow_its_columns(client: Client, crm: Emulator) -> None:
    account = client.create("accounts", {"name": "New", "address1_name": "PRIMARY", "address1_city": "Fargo"})
    assert addresses(client, account) == [(1, "PRIMARY", "Fargo"), (2, None, None)]
    change = {"address1_city": None, "address2_name": "WAREHOUSE", "address2_city": "Chicago"}
    assert client.patch(f"accounts({account})", change).status_code == 204
    assert addresses(client, account) == [(1, "PRIMARY", None), (2, "WAREHOUSE", "Chicago")]
    first = client.read(f"accounts({account})")["address1_addressid"]
    assert client.patch(f"customeraddresses({first})", {"city": "Fargo", "latitude": 46}).status_code == 204
    row = crm.row("account", account)
    assert (row["address1_city"], row["address1_latitude"], row["address2_city"]) == ("Fargo", 46, "Chicago")


def test_further_addresses_are_rows_of_their_own(client: Client, crm: Emulator) -> None:
    account = client.create("accounts", {"name": "New"})
    body = {
        "name": "HANGAR",
        "line1": "1 Sky Way",
        "city": "Reno",
        "parentid_account@odata.bind": f"/accounts({account})",
    }
    address = client.create("customeraddresses", body)
    assert addresses(client, account)[2:] == [(3, "HANGAR", "Reno")]
    assert client.patch(f"customeraddresses({address})", {"city": "Elko"}).status_code == 204
    row = crm.row("account", account)
    assert (row["address1_city"], row["address2_city"]) == (None, None)
    refused(client.post("customeraddresses", {"name": "x", "line1": "y"}), 400, "0x80040203", "'parentid'")
    refused(client.delete(f"customeraddresses({row['address2_addressid']})"), 400, "0x80040203")
    assert client.delete(f"customeraddresses({address})").status_code == 204
    assert client.delete(f"accounts({account})").status_code == 204
    assert crm.rows("customeraddress") == []


# ---------------------------------------------------------------- parents


def test_an_account_is_not_above_itself(client: Client) -> None:
    words = "Creating this parental association would create a loop in Accounts hierarchy."
    refused(client.patch(f"accounts({AARON})", below(AARON)), 400, "0x80040507", words)
    child = client.create("accounts", {"name": "Child", **below(AARON)})
    grandchild = client.create("accounts", {"name": "Grandchild", **below(child)})
    refused(client.patch(f"accounts({AARON})", below(grandchild)), 400, "0x80040507", words)
    assert client.patch(f"accounts({AARON})", below(ASTOR)).status_code == 204
    assert client.patch(f"accounts({AARON})", {"parentaccountid": None}).status_code == 204


def test_a_loop_that_is_there_is_told(client: Client, crm: Emulator) -> None:
    crm.update("account", AARON, {"parentaccountid": look_up("account", ASTOR)})
    crm.update("account", ASTOR, {"parentaccountid": look_up("account", AARON)})
    refused(client.post("accounts", {"name": "New", **below(AARON)}), 400, "0x80040506", "Loop exists")


def test_three_generations_in_one_change_set(client: Client) -> None:
    reply = client.batch(
        [
            ("POST", "accounts", {"name": "Parent"}),
            ("POST", "accounts", {"name": "Child", "parentaccountid@odata.bind": "$1"}),
            ("POST", "accounts", {"name": "Grandchild", "parentaccountid@odata.bind": "$2"}),
        ]
    )
    assert outcomes(reply) == [204] * 3
    (row,) = client.read("accounts?$filter=name eq 'Parent'&$expand=account_parent_account($select=name)")["value"]
    assert [child["name"] for child in row["account_parent_account"]] == ["Child"]


def test_children_lose_a_parent_that_is_deleted(client: Client, crm: Emulator) -> None:
    parent = client.create("accounts", {"name": "Parent"})
    child = client.create("accounts", {"name": "Child", **below(parent)})
    assert client.delete(f"accounts({parent})").status_code == 204
    assert crm.row("account", child)["parentaccountid"] is None


# ---------------------------------------------------------------- owners


def test_assigning_an_account_assigns_its_orders_and_invoices(client: Client, crm: Emulator) -> None:
    open_order = client.order("open", order_details=[product_line()])
    closed = client.order("closed")
    close = {"OrderClose": {"salesorderid@odata.bind": f"/salesorders({closed})"}, "Status": -1}
    assert client.post("FulfillSalesOrder", close).status_code == 204
    invoice_id = client.invoice()
    client.patch(f"invoices({invoice_id})", {"statecode": 2})
    other = client.create("salesorders", {**order("other"), "customerid_account@odata.bind": f"/accounts({ASTOR})"})
    child = client.create("accounts", {"name": "Child", **below(AARON)})
    before = client.read(f"salesorders({open_order})")["@odata.etag"]
    assert client.patch(f"accounts({AARON})", {"ownerid@odata.bind": f"/teams({TEAM})"}).status_code == 204
    team = look_up("team", TEAM)
    assert [crm.row("salesorder", each)["ownerid"] for each in (open_order, closed)] == [team, team]
    assert (crm.row("invoice", invoice_id)["ownerid"], crm.rows("orderclose")[0]["ownerid"]) == (team, team)
    assert client.read(f"salesorders({open_order})/order_details")["value"][0]["_ownerid_value"] == TEAM
    assert client.read(f"salesorders({open_order})")["@odata.etag"] != before
    for table, row_id in (("salesorder", other), ("account", child)):
        assert crm.row(table, row_id)["ownerid"] == look_up("systemuser", CALLER)


def test_an_owner_that_stays_moves_nothing(client: Client, crm: Emulator) -> None:
    order_id = client.order()
    assert client.patch(f"accounts({AARON})", {"ownerid@odata.bind": f"/systemusers({REP})"}).status_code == 204
    assert crm.row("salesorder", order_id)["ownerid"] == look_up("systemuser", CALLER)


def test_the_metadata_tells_what_assigning_does(client: Client) -> None:
    path = "EntityDefinitions(LogicalName='account')/OneToManyRelationships?$filter=ReferencingEntity eq 'invoice'"
    found = {row["SchemaName"]: row["CascadeConfiguration"] for row in client.read(path)["value"]}
    assert (found["invoice_customer_accounts"]["Assign"], found["invoice_customer_accounts"]["Delete"]) == (
        "Cascade", "Restrict",
    )  # fmt: skip


def test_assigning_needs_its_privilege_and_an_owner(client: Client, crm: Emulator) -> None:
    bound = {"ownerid@odata.bind": f"/systemusers({CALLER})"}
    refused(client.patch(f"accounts({AARON})", {"ownerid": None}), 400, "0x80040210")
    crm.update("team", TEAM, {"teamtype": 1})
    refused(client.patch(f"accounts({AARON})", {"ownerid@odata.bind": f"/teams({TEAM})"}), 400, "0x80048340")
    crm.deny(None, "prvAssignAccount")
    refused(client.patch(f"accounts({AARON})", bound), 403, "0x80040220", "prvAssignAccount")
    refused(client.post("accounts", {"name": "x", "ownerid@odata.bind": f"/systemusers({REP})"}), 403, "0x80040220")
    assert client.post("accounts", {"name": "x", **bound}).status_code == 204


def test_users_are_found_by_their_salespersons_number(client: Client) -> None:
    wanted = "Microsoft.Dynamics.CRM.In(PropertyName='new_gpsalespersonid',PropertyValues=['TERRITORY 1'])"
    assert [row["systemuserid"] for row in client.read(f"systemusers?$filter={wanted}")["value"]] == [REP]


# ---------------------------------------------------------------- merging


def merging(target: str, subordinate: str, **content: object) -> dict[str, object]:
    kind = {"@odata.type": "Microsoft.Dynamics.CRM.account"}
    return {
        "Target": {"accountid": target, **kind},
        "Subordinate": {"accountid": subordinate, **kind},
        "UpdateContent": {**content, **kind},
        "PerformParentingChecks": False,
    }


def test_a_merged_account_stays_behind_inactive_with_its_number(client: Client, crm: Emulator) -> None:
    order_id, invoice_id = client.order(), client.invoice()
    client.patch(f"invoices({invoice_id})", {"statecode": 2})
    assert client.post("Merge", merging(ASTOR, AARON, telephone1="555-0100")).status_code == 204
    left, kept = crm.row("account", AARON), crm.row("account", ASTOR)
    assert (left["merged"], left["masterid"], left["statecode"], left["statuscode"], left["accountnumber"]) == (
        True, look_up("account", ASTOR), 1, 2, "AARONFIT0001",
    )  # fmt: skip
    assert (kept["telephone1"], kept["accountnumber"], kept["merged"]) == ("555-0100", "ASTORSUI0001", None)
    for table, row_id in (("salesorder", order_id), ("invoice", invoice_id)):
        assert crm.row(table, row_id)["customerid"] == look_up("account", ASTOR)
    refused(client.post("Merge", merging(ASTOR, AARON)), 400, "0x80045304")


def test_merges_that_are_refused(client: Client) -> None:
    refused(client.post("Merge", merging(AARON, AARON)), 400, "0x80045305")
    refused(client.post("Merge", {**merging(AARON, ASTOR), "UpdateContent": None}), 400, "0x80048d19")
    refused(client.post("Merge", {**merging(AARON, ASTOR), "Target": None}), 400, "0x80048d19")
    refused(client.post("Merge", merging(AARON, ASTOR, nosuchcolumn=1)), 400, "0x80048d19")
    client.patch(f"accounts({AARON})", below(ASTOR))
    refused(client.post("Merge", merging(AARON, ASTOR)), 400, "0x80045300")
