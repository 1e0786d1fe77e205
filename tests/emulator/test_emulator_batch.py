"""`$batch`: order, atomic change sets, references, and how strict the format is."""

from __future__ import annotations

import json
from decimal import Decimal
from uuid import uuid4

import pytest

from emulator import Emulator
from tests.emulator.web_api import AARON, Client, batch_body, order, outcomes, product_line, refused, write_in


def test_requests_run_in_order_and_answer_in_parts(client: Client) -> None:
    order_id = client.order()
    reply = client.batch(
        ("GET", f"salesorders({order_id})?$select=name"),
        ("PATCH", f"salesorders({order_id})", {"name": "NEW"}),
        ("GET", f"salesorders({order_id})?$select=name"),
    )
    assert reply.status_code == 200
    assert reply.headers["Content-Type"].startswith("multipart/mixed; boundary=batchresponse_")
    assert outcomes(reply) == [200, 204, 200]
    assert reply.text.index("ORDST2225") < reply.text.index('"NEW"')


def test_a_change_set_makes_an_order_with_lines_and_totals(client: Client, crm: Emulator) -> None:
    reply = client.batch(
        [
            ("POST", "salesorders", order()),
            ("POST", "salesorderdetails", {**product_line(), "salesorderid@odata.bind": "$1"}),
            ("POST", "$1/order_details", write_in()),
            ("PATCH", "$1", {"description": "done"}),
        ]
    )
    assert outcomes(reply) == [204] * 4, reply.text
    assert "changesetresponse_" in reply.text
    assert "Content-ID: 2" in reply.text
    assert f"OData-EntityId: {client.root}salesorders(" in reply.text
    (row,) = crm.rows("salesorder")
    assert (row["description"], row["totalamount"]) == ("done", Decimal("134.90"))


def test_a_failing_operation_undoes_its_change_set_and_no_other(client: Client, crm: Emulator) -> None:
    reply = client.batch(
        [("POST", "salesorders", order("A"))],
        [("POST", "salesorders", order("B")), ("POST", "salesorders", order("x" * 301))],
        [("POST", "salesorders", order("D"))],
        Prefer="odata.continue-on-error",
    )
    assert (reply.status_code, outcomes(reply)) == (200, [204, 400, 204])
    assert [row["name"] for row in crm.rows("salesorder")] == ["A", "D"]
    failed = reply.text.split("--changesetresponse_")[3]
    assert "Content-ID: 2" in failed
    assert "REQ_ID: " in failed
    assert json.loads(failed.split("\r\n\r\n")[2])["error"]["code"] == "0x80044331"


def test_the_first_error_ends_a_batch(client: Client, crm: Emulator) -> None:
    reply = client.batch(
        ("POST", "salesorders", order("A")), ("GET", f"accounts({uuid4()})"), ("POST", "salesorders", order("B"))
    )
    assert (reply.status_code, outcomes(reply)) == (404, [204, 404])
    assert [row["name"] for row in crm.rows("salesorder")] == ["A"]


def test_all_is_undone_versions_deletes_and_indexes(client: Client, crm: Emulator) -> None:
    order_id = client.order(order_details=[product_line()])
    before = crm.rows("salesorder"), crm.rows("salesorderdetail")
    start = client.read("salesorderdetails", Prefer="odata.track-changes")["@odata.deltaLink"]
    line_id = before[1][0]["salesorderdetailid"]
    reply = client.batch(
        [
            ("PATCH", f"salesorders({order_id})", {"name": "RENAMED"}),
            ("DELETE", f"salesorderdetails({line_id})"),
            ("POST", "salesorderdetails", {**write_in(), "salesorderid@odata.bind": f"/salesorders({order_id})"}),
            ("DELETE", f"accounts({AARON})"),
        ]
    )
    assert outcomes(reply) == [405]
    assert (crm.rows("salesorder"), crm.rows("salesorderdetail")) == before
    assert client.read("salesorders?$filter=name eq 'RENAMED'")["value"] == []
    assert len(client.read("salesorders?$filter=name eq 'ORDST2225'")["value"]) == 1
    assert client.read(start)["value"] == []
    assert client.read(f"salesorders({order_id})?$expand=order_details")["order_details"][0]["lineitemnumber"] == 16384


def test_a_reference_forward_is_refused(client: Client) -> None:
    reply = client.batch(
        [
            ("POST", "salesorderdetails", {**product_line(), "salesorderid@odata.bind": "$2"}),
            ("POST", "salesorders", order()),
        ]
    )
    assert outcomes(reply) == [400]
    assert "Content-ID Reference: '$2' does not exist in the batch context." in reply.text


def test_a_change_set_shares_an_order_it_has_just_made(client: Client, crm: Emulator) -> None:
    user = crm.organisation.caller
    grant = {
        "Target": {"@odata.id": "$1"},
        "PrincipalAccess": {
            "AccessMask": "ReadAccess",
            "Principal": {"systemuserid": user, "@odata.type": "Microsoft.Dynamics.CRM.systemuser"},
        },
    }
    assert outcomes(client.batch([("POST", "salesorders", order()), ("POST", "GrantAccess", grant)])) == [204, 204]
    assert [row["accessrightsmask"] for row in crm.rows("principalobjectaccess")] == [1]


def test_a_read_in_a_change_set_refuses_the_batch(client: Client, crm: Emulator) -> None:
    reply = client.batch([("POST", "salesorders", order()), ("GET", "salesorders")])
    refused(reply, 400, "0x80060888", "GET")
    assert crm.rows("salesorder") == []


def test_at_most_1000_operations(client: Client, crm: Emulator) -> None:
    operations = [("DELETE", f"accounts({uuid4()})") for _ in range(1001)]
    refused(client.batch(operations), 400, "0x80060888", "'1000'")
    refused(client.batch(*operations), 400, "0x80060888", "'1000'")
    refused(client.batch(operations[:600], operations[600:]), 400, "0x80060888", "'1000'")
    assert client.batch([("POST", "accounts", {"name": str(number)}) for number in range(1000)]).status_code == 200
    assert len(crm.rows("account")) == 1002


def test_whole_urls_and_paths_name_the_same(client: Client, crm: Emulator) -> None:
    reply = client.batch(
        ("GET", f"{crm.url}/api/data/v9.2/WhoAmI"), ("GET", "/api/data/v9.2/WhoAmI"), ("GET", "/other/WhoAmI")
    )
    refused(reply, 400, "0x80060888")
    reply = client.batch(("GET", f"{crm.url}/api/data/v9.2/WhoAmI"), ("GET", "/api/data/v9.2/WhoAmI"))
    assert outcomes(reply) == [200, 200]


def test_blanks_in_the_url_of_a_part_are_understood(client: Client) -> None:
    client.order("A B")
    reply = client.batch(("GET", "salesorders?$select=name&$filter=name eq 'A B'"))
    assert '"name":"A B"' in reply.text


def test_preferences_belong_to_the_parts(client: Client) -> None:
    reply = client.batch(
        [("POST", "salesorders?$select=name", order(), {"Prefer": "return=representation"})],
        ("GET", "accounts?$select=name", None, {"Prefer": "odata.maxpagesize=1"}),
    )
    assert outcomes(reply) == [201, 200]
    assert "@odata.nextLink" in reply.text


def test_versions_are_checked_in_change_sets(client: Client) -> None:
    order_id = client.order()
    etag = client.read(f"salesorders({order_id})")["@odata.etag"]
    first = ("PATCH", f"salesorders({order_id})", {"name": "A"}, {"If-Match": etag})
    second = ("PATCH", f"salesorders({order_id})", {"name": "B"}, {"If-Match": etag})
    reply = client.batch([first], [second], Prefer="odata.continue-on-error")
    assert outcomes(reply) == [204, 412]


GOOD = batch_body("b", ([("POST", "accounts", {"name": "x"})], ("GET", "accounts")))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\r\n", b"\n"),
        (b"Content-Type: application/http\r\n", b""),
        (b"application/http", b"application/json"),
        (b"Content-Transfer-Encoding: binary\r\n", b""),
        (b"Content-ID: 1\r\n", b""),
        (b"--b--\r\n", b""),
        (b"POST /api", b"FETCH /api"),
        (b" HTTP/1.1", b""),
        (b" HTTP/1.1\r\n", b" HTTP/1.1\n"),
        (b"--b\r\n", b"--c\r\n"),
    ],
)
def test_a_malformed_batch_is_refused_whole(client: Client, crm: Emulator, old: bytes, new: bytes) -> None:
    body = GOOD.replace(old, new)
    assert body != GOOD
    reply = client.send("POST", "$batch", body, Content_Type="multipart/mixed; boundary=b")
    assert reply.status_code == 400
    assert reply.headers["Content-Type"].startswith("application/json")
    assert len(crm.rows("account")) == 2


def test_content_ids_are_used_once_in_a_change_set(client: Client) -> None:
    body = batch_body("b", ([("POST", "accounts", {"name": "x"}), ("POST", "accounts", {"name": "y"})],))
    reply = client.send(
        "POST", "$batch", body.replace(b"Content-ID: 2", b"Content-ID: 1"), Content_Type="multipart/mixed; boundary=b"
    )
    refused(reply, 400, "0x80060888", "found more than once")


def test_a_batch_is_posted_as_multipart(client: Client) -> None:
    assert client.send("POST", "$batch", b"{}", Content_Type="application/json").status_code == 400
    assert client.get("$batch").status_code == 405


def test_the_log_counts_operations(client: Client, crm: Emulator) -> None:
    crm.reset_log()
    client.batch([("POST", "accounts", {"name": "x"})], ("GET", "accounts"), ("GET", "accounts"))
    (log,) = crm.requests
    assert (log.method, log.path, log.status) == ("POST", "/api/data/v9.2/$batch", 200)
    assert (log.operations, log.reads, log.writes) == (3, 2, 1)
