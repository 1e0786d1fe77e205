"""Answers that are not what was asked for: a failure is never taken for a success, and doubt leads to a look."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from emulator import batch as emulated
from loader.dataverse.batch import ChangeSet, Operation, Query, decode, encode
from tests.promises.conftest import NEW, Handful

FAILED = "\r\n".join(
    [
        "--batchresponse_1",
        "Content-Type: multipart/mixed; boundary=changesetresponse_2",
        "",
        "--changesetresponse_2",
        "Content-Type: application/http",
        "Content-Transfer-Encoding: binary",
        "Content-ID: 3",
        "",
        "HTTP/1.1 400 Bad Request",
        "REQ_ID: 7f0e",
        "Content-Type: application/json",
        "",
        '{"error":{"code":"0x80044331","message":"too long"}}',
        "--changesetresponse_2--",
        "--batchresponse_1--",
        "",
    ]
)


def test_a_failed_change_set_in_a_multipart_of_its_own_is_a_failure() -> None:
    """So CRM answers, where OData would have a bare response."""
    (reply,) = decode("multipart/mixed; boundary=batchresponse_1", FAILED.encode())
    assert not isinstance(reply, list)
    assert reply.error
    assert (reply.error.code, reply.error.request_id) == ("0x80044331", "7f0e")


def test_no_operation_asks_for_more_than_it_says() -> None:
    """What a value holds never becomes a header, a part or another operation."""
    evil = 'a"\r\n--changeset_gp_to_crm_1--\r\n\r\nDELETE /salesorders(1) HTTP/1.1\r\n\r\n{}'
    change_set = ChangeSet((Operation("POST", "salesorders", {"name": evil, "description": evil}),))
    content_type, body = encode([change_set, Query("accounts?$select=name")], "https://crm.example/api/data/v9.2/")
    items = emulated.parse_batch(body, content_type)
    assert isinstance(items[0], emulated.ChangeSet)
    assert [operation.method for operation in items[0].operations] == ["POST"]
    assert len(items) == 2


Change = Callable[[bytes], bytes]

SPOILT: dict[str, Change] = {
    "cut off": lambda body: body[: len(body) // 2],
    "empty": lambda body: b"",
    "not multipart": lambda body: b"<html>Bad gateway</html>",
    "without the last answers": lambda body: (
        b"--changesetresponse_".join(body.split(b"--changesetresponse_")[:4]) + body[-200:]
    ),
}


@pytest.mark.parametrize("spoilt", SPOILT)
def test_an_answer_that_arrives_damaged_leads_to_a_look_at_crm(
    handful: Handful, waits: list[float], spoilt: str
) -> None:
    """The orders are in CRM: they are found there, reported as created, and not sent again."""
    fault = handful.crm.faults.spoil(SPOILT[spoilt], 1, kind="write")
    ended = handful.push()
    assert fault.fired == 1
    assert ended.orders == {"created": 5, "updated": 3, "unchanged": 0, "skipped": 1, "blocked": 1, "failed": 0}
    handful.assert_in_sync()


@pytest.mark.parametrize("spoilt", ["cut off", "empty", "not multipart"])
def test_a_read_that_arrives_damaged_is_asked_again(handful: Handful, waits: list[float], spoilt: str) -> None:
    fault = handful.crm.faults.spoil(SPOILT[spoilt], 2, kind="batch", when=lambda seen: not seen.writes)
    assert handful.push("--order", NEW[0]).exit_code == 0
    assert fault.fired == 2
    assert len(handful.in_crm(NEW[0])) == 1
