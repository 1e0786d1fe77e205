"""$batch on the wire."""

from __future__ import annotations

from decimal import Decimal

import pytest

from loader.dataverse.batch import ChangeSet, MalformedReply, Operation, Query, decode, encode

ROOT = "https://crm.example/api/data/v9.2/"


def test_a_change_set_numbers_its_operations_and_keeps_decimals_exact() -> None:
    operation = Operation("PATCH", "salesorders(1)", {"totalamount": Decimal("59.90")}, {"If-Match": 'W/"7"'})
    content_type, body = encode([ChangeSet((operation, Operation("DELETE", "salesorderdetails(2)")))], ROOT)
    text = body.decode()
    assert content_type.startswith("multipart/mixed; boundary=batch_")
    assert f"PATCH {ROOT}salesorders(1) HTTP/1.1\r\n" in text
    assert 'If-Match: W/"7"\r\n\r\n{"totalamount":59.90}' in text
    assert text.count("Content-ID: ") == 2
    assert "\n" not in text.replace("\r\n", "")


def test_line_breaks_and_boundaries_in_values_stay_in_the_value() -> None:
    evil = "a\r\n--batch_gp_to_crm--\r\nDELETE /salesorders(1) HTTP/1.1"
    _, body = encode([ChangeSet((Operation("POST", "salesorders", {"name": evil}),))], ROOT)
    assert body.count(b"\r\n--batch_gp_to_crm--") == 1


REPLY = "\r\n".join(
    [
        "--batchresponse_1",
        "Content-Type: multipart/mixed; boundary=changesetresponse_2",
        "",
        "--changesetresponse_2",
        "Content-Type: application/http",
        "Content-Transfer-Encoding: binary",
        "Content-ID: 1",
        "",
        "HTTP/1.1 204 No Content",
        "OData-EntityId: https://crm.example/api/data/v9.2/salesorders(1)",
        "",
        "",
        "--changesetresponse_2--",
        "--batchresponse_1",
        "Content-Type: application/http",
        "Content-ID: 2",
        "",
        "HTTP/1.1 400 Bad Request",
        "Content-Type: application/json",
        "",
        '{"error":{"code":"0x80044331","message":"too long"}}',
        "--batchresponse_1--",
        "",
    ]
)


def test_replies_come_apart_again() -> None:
    applied, refused = decode("multipart/mixed; boundary=batchresponse_1", REPLY.encode())
    assert isinstance(applied, list)
    assert [reply.status for reply in applied] == [204]
    assert not isinstance(refused, list)
    assert refused.error
    assert (refused.error.code, refused.error.message) == ("0x80044331", "too long")
    assert refused.headers["content-id"] == "2"


@pytest.mark.parametrize("cut", [50, 200, len(REPLY) - 12])
def test_a_reply_that_ends_early_is_malformed(cut: int) -> None:
    with pytest.raises(MalformedReply):
        decode("multipart/mixed; boundary=batchresponse_1", REPLY[:cut].encode())


def test_a_query_asks_for_the_kind_of_each_lookup() -> None:
    _, body = encode([Query("accounts?$select=name")], ROOT)
    assert b"GET https://crm.example/api/data/v9.2/accounts?$select=name HTTP/1.1" in body
    assert b"lookuplogicalname" in body
