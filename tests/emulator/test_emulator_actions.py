"""Bulk actions, sharing, functions, privileges."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from emulator import Emulator
from tests.emulator.web_api import AARON, CALLER, REP, TEAM, Client, order, product_line, refused

CRM = "Microsoft.Dynamics.CRM."


def typed(table: str, **values: object) -> dict[str, object]:
    return {"@odata.type": CRM + table, **values}


def multiple(client: Client, action: str, table: str, *targets: object) -> Any:
    return client.post(f"{table}s/{CRM}{action}", {"Targets": list(targets)})


# ---------------------------------------------------------------- bulk


def test_create_multiple_gives_the_ids_in_order(client: Client, crm: Emulator) -> None:
    reply = multiple(client, "CreateMultiple", "account", typed("account", name="A"), typed("account", name="B"))
    assert reply.status_code == 200
    assert [crm.row("account", row_id)["name"] for row_id in reply.json()["Ids"]] == ["A", "B"]


def test_one_error_undoes_a_bulk_action_whole(client: Client, crm: Emulator) -> None:
    bad = typed("salesorder", name="x" * 301)
    refused(multiple(client, "CreateMultiple", "salesorder", typed("salesorder", **order("A")), bad), 400, "0x80044331")
    assert crm.rows("salesorder") == []


def test_update_multiple(client: Client, crm: Emulator) -> None:
    ids = [client.order("A"), client.order("B")]
    targets = [typed("salesorder", salesorderid=order_id, description=order_id) for order_id in ids]
    assert multiple(client, "UpdateMultiple", "salesorder", *targets).status_code == 204
    assert [row["description"] for row in crm.rows("salesorder")] == ids
    refused(
        multiple(client, "UpdateMultiple", "salesorder", typed("salesorder", salesorderid=str(uuid4()))),
        404,
        "0x80040217",
    )
    refused(multiple(client, "UpdateMultiple", "salesorder", typed("salesorder", name="x")), 400, "0x80040203")


def test_upsert_multiple_by_id_and_by_key_says_nothing_of_what_it_did(client: Client, crm: Emulator) -> None:
    new = str(uuid4())
    targets = (
        typed("account", accountid=AARON, name="Updated"),
        typed("account", accountid=new, name="Made"),
        {**typed("account", name="By key"), "@odata.id": "accounts(accountnumber='NEW/1')"},
    )
    reply = multiple(client, "UpsertMultiple", "account", *targets)
    assert (reply.status_code, reply.content) == (204, b"")
    assert crm.row("account", AARON)["name"] == "Updated"
    assert crm.row("account", new)["name"] == "Made"
    assert crm.rows("account")[-1]["accountnumber"] == "NEW/1"


def test_a_key_both_in_the_address_and_in_the_body_cannot_create(client: Client) -> None:
    target = {**typed("account", name="x", accountnumber="N"), "@odata.id": "accounts(accountnumber='N')"}
    refused(multiple(client, "UpsertMultiple", "account", target), 400, "0x80040203", "accountnumber")


@pytest.mark.parametrize("body", [{}, {"Targets": {}}, {"Targets": [{"name": "x"}]}, {"Targets": [], "More": 1}])
def test_bulk_bodies_that_are_refused(client: Client, body: object) -> None:
    assert client.post(f"accounts/{CRM}CreateMultiple", body).status_code == 400


def test_delete_multiple_is_not_there_for_standard_tables(client: Client) -> None:
    reply = client.post(f"accounts/{CRM}DeleteMultiple", {"Targets": []})
    assert (reply.status_code, reply.json()["error"]["message"]) == (
        501,
        "DeleteMultiple has not yet been implemented.",
    )


# ---------------------------------------------------------------- sharing


def access(order_id: str, mask: str = "ReadAccess", user: str = REP, table: str = "systemuser") -> dict[str, object]:
    return {
        "Target": typed("salesorder", salesorderid=order_id),
        "PrincipalAccess": {"AccessMask": mask, "Principal": typed(table, **{f"{table}id": user})},
    }


def shares(crm: Emulator) -> list[tuple[str, str, int]]:
    rows = crm.rows("principalobjectaccess")
    return [(row["principaltypecode"], row["principalid"], row["accessrightsmask"]) for row in rows]


def test_granting_twice_is_granting_once(client: Client, crm: Emulator) -> None:
    order_id = client.order()
    for _ in range(2):
        assert client.post("GrantAccess", access(order_id)).status_code == 204
    assert client.post("GrantAccess", access(order_id, user=TEAM, table="team")).status_code == 204
    assert shares(crm) == [("systemuser", REP, 1), ("team", TEAM, 1)]


@pytest.mark.parametrize("action", ["GrantAccess", "ModifyAccess"])
def test_nothing_is_shared_with_who_is_disabled_or_may_not_read_orders(
    client: Client, crm: Emulator, action: str
) -> None:
    order_id = client.order()
    crm.deny(REP, "prvReadOrder")
    refused(client.post(action, access(order_id)), 403, "0x80040231")
    assert client.post(action, access(order_id, "WriteAccess")).status_code == 204
    crm.deny(REP)
    crm.update("systemuser", REP, {"isdisabled": True})
    refused(client.post(action, access(order_id)), 403, "0x80040225")


def test_granting_adds_modifying_replaces_revoking_removes(client: Client, crm: Emulator) -> None:
    order_id = client.order()
    client.post("GrantAccess", access(order_id))
    client.post("GrantAccess", access(order_id, "WriteAccess,ShareAccess"))
    assert shares(crm) == [("systemuser", REP, 1 + 2 + 262144)]
    client.post("ModifyAccess", access(order_id, "ReadAccess,AppendAccess"))
    assert shares(crm) == [("systemuser", REP, 1 + 4)]
    revoke = {"Target": typed("salesorder", salesorderid=order_id), "Revokee": typed("systemuser", systemuserid=REP)}
    assert client.post("RevokeAccess", revoke).status_code == 204
    assert shares(crm) == []


def test_who_a_record_is_shared_with(client: Client) -> None:
    order_id = client.order()
    client.post("GrantAccess", access(order_id, user=TEAM, table="team"))
    target = quote(json.dumps({"@odata.id": f"salesorders({order_id})"}))
    answer = client.read(f"RetrieveSharedPrincipalsAndAccess(Target=@t)?@t={target}")
    (one,) = answer["PrincipalAccesses"]
    assert (one["AccessMask"], one["Principal"]["teamid"]) == ("ReadAccess", TEAM)
    found = client.read(f"principalobjectaccessset?$filter=objectid eq {order_id}&$select=principalid,accessrightsmask")
    assert [(row["principalid"], row["accessrightsmask"]) for row in found["value"]] == [(TEAM, 1)]


def test_a_share_goes_with_its_record(client: Client, crm: Emulator) -> None:
    order_id = client.order()
    client.post("GrantAccess", access(order_id))
    client.delete(f"salesorders({order_id})")
    assert shares(crm) == []


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"Target": typed("salesorder", salesorderid=str(uuid4()))}, 404),
        ({"Target": {"salesorderid": str(uuid4())}}, 400),
        ({"Target": None}, 400),
        (
            {
                "PrincipalAccess": {
                    "AccessMask": "ReadAccess",
                    "Principal": typed("systemuser", systemuserid=str(uuid4())),
                }
            },
            404,
        ),
        ({"PrincipalAccess": {"AccessMask": "AllAccess", "Principal": typed("systemuser", systemuserid=REP)}}, 400),
        ({"PrincipalAccess": {"Principal": typed("systemuser", systemuserid=REP)}}, 400),
    ],
)
def test_grants_that_are_refused(client: Client, crm: Emulator, change: dict[str, object], status: int) -> None:
    assert client.post("GrantAccess", {**access(client.order()), **change}).status_code == status
    assert shares(crm) == []


def test_sharing_changes_no_version(client: Client) -> None:
    order_id = client.order()
    before = client.read(f"salesorders({order_id})")["@odata.etag"]
    client.post("GrantAccess", access(order_id))
    assert client.read(f"salesorders({order_id})")["@odata.etag"] == before


# ---------------------------------------------------------------- functions and privileges


def test_preflight_functions(client: Client, crm: Emulator) -> None:
    assert client.read("WhoAmI")["UserId"] == client.read("WhoAmI()")["UserId"] == CALLER
    assert client.read("RetrieveVersion()")["Version"].startswith("9.2.")
    held = client.read(f"systemusers({CALLER})/{CRM}RetrieveUserPrivileges()")["RolePrivileges"]
    assert {"prvCreateOrder", "prvWriteOrder", "prvShareOrder"} <= {one["PrivilegeName"] for one in held}
    target = quote(json.dumps({"@odata.id": f"salesorders({client.order()})"}))
    rights = client.read(f"systemusers({CALLER})/{CRM}RetrievePrincipalAccess(Target=@t)?@t={target}")["AccessRights"]
    assert "WriteAccess" in rights


@pytest.mark.parametrize(
    ("privilege", "method", "path", "body"),
    [
        ("prvCreateOrder", "POST", "salesorders", order()),
        ("prvWriteOrder", "PATCH", "salesorders({id})", {"name": "x"}),
        ("prvDeleteOrder", "DELETE", "salesorders({id})", None),
        ("prvReadOrder", "GET", "salesorders", None),
        ("prvReadOrder", "GET", "salesorders({id})", None),
        ("prvCreateOrder", "POST", "salesorders({id})/order_details", product_line()),
        ("prvShareOrder", "POST", "GrantAccess", None),
    ],
)
def test_a_missing_privilege_is_refused(
    client: Client, crm: Emulator, privilege: str, method: str, path: str, body: object
) -> None:
    order_id = client.order()
    crm.deny(None, privilege)
    body = access(order_id) if path == "GrantAccess" else body
    refused(client.send(method, path.replace("{id}", order_id), body), 403, "0x80040220", privilege)
    held = client.read(f"systemusers({CALLER})/{CRM}RetrieveUserPrivileges")["RolePrivileges"]
    assert privilege not in {one["PrivilegeName"] for one in held}


def test_users_act_with_their_own_rights_and_as_others(client: Client, crm: Emulator) -> None:
    assert client.read("WhoAmI", MSCRMCallerID=REP)["UserId"] == REP
    crm.update("systemuser", REP, {"isdisabled": True})
    refused(client.get("WhoAmI", MSCRMCallerID=REP), 403, "0x80040225")
