"""Whatever arrives in the place of CRM's reply: the run ends with a code, an envelope, and every order counted."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator.faults import Seen
from loader.dataverse.describe import read_tables
from tests.conftest import Ended
from tests.promises.conftest import GOING, IN_CRM, NEW, ORDERS, Handful
from tests.thorough import THOROUGH, some_pairs

Change = Callable[[bytes], bytes]

HTML = b"<html><head><title>Sign in</title></head><body>Please sign in.</body></html>"
GARBAGE: dict[str, Change] = {
    "cut": lambda body: body[: len(body) // 2],
    "nothing": lambda body: b"",
    "html": lambda body: HTML,
    "an empty object": lambda body: b"{}",
    "null": lambda body: b"null",
    "a list": lambda body: b"[]",
    "a number": lambda body: b"5",
    "deep": lambda body: b"[" * 200_000,
    "deep in value": lambda body: b'{"value":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "value null": lambda body: b'{"value": null}',
    "value of nothings": lambda body: b'{"value": [null]}',
    "value of empty rows": lambda body: b'{"value": [{}]}',
    "value a text": lambda body: b'{"value": "x"}',
    "a long number": lambda body: b'{"value": ' + b"9" * 10_000 + b"}",
    "an endless number": lambda body: b'{"value": 1e99999999999999999999}',
    "not a number": lambda body: b'{"value": NaN}',
    "not utf-8": lambda body: b"\xff\xfe" + body,
    "half a character": lambda body: body.replace(b'":"', b'":"\\ud800', 1),
    "another's id": lambda body: body.replace(b'id":"', b'id":"../', 1),
}

READS = {
    "WhoAmI": "^WhoAmI",
    "the organisation": "^organizations",
    "the caller": "^systemusers\\(",
    "currencies": "^transactioncurrencies",
    "the caller's zone": "^usersettingscollection",
    "zones": "^timezonedefinitions",
    "definitions": "^EntityDefinitions",
    "a definition": "^EntityDefinitions[^/]*$",
    "look-ups": "^(accounts|products|uoms|pricelevels)\\?",
    "orders": "^salesorders\\?",
}


def assert_ended_well(handful: Handful, ended: Ended) -> None:
    """Exit code, envelope and counts; and what is in CRM is whole."""
    assert ended.exit_code in (0, 3, 5), ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    envelope = ended.envelope
    if ended.exit_code == 5:
        assert envelope["error"]["code"].startswith("crm_")
        assert envelope["error"]["remedy"]
    if "data" in envelope:
        assert sum(ended.orders.values()) == len(ORDERS)
        handful.assert_adds_up(ended)
    handful.assert_whole()


@pytest.mark.parametrize(("read", "garbage"), some_pairs(READS, GARBAGE, 10))
def test_garbage_in_the_place_of_a_read_ends_the_run_with_a_code(
    handful: Handful, waits: list[float], read: str, garbage: str
) -> None:
    handful.settings["CRM_CONCURRENCY"] = "1"
    known = handful.sources
    if "definition" in read:
        handful.sources = replace(known, tables=read_tables)
    fault = handful.crm.faults.spoil_part(GARBAGE[garbage], None, method="GET", path=READS[read])
    ended = handful.push()
    assert fault.fired
    assert_ended_well(handful, ended)
    assert [request for request in handful.crm.requests if request.writes] == [] or ended.exit_code in (0, 3)
    handful.crm.faults.clear()
    handful.sources = known
    handful.push()
    handful.assert_in_sync()


@pytest.mark.parametrize(
    ("batch_size", "garbage"),
    some_pairs(["1", "1000"], ["cut", "nothing", "html", "an empty object", "null", "deep"], 2),
)
def test_garbage_in_the_place_of_a_write_s_reply_is_settled_by_a_look(
    handful: Handful, waits: list[float], garbage: str, batch_size: str
) -> None:
    handful.settings["CRM_BATCH_SIZE"] = batch_size
    handful.crm.faults.spoil(GARBAGE[garbage], 2, kind="write")
    assert_ended_well(handful, handful.push())
    handful.crm.faults.clear()
    handful.push()
    handful.assert_in_sync()


@pytest.mark.parametrize("garbage", ["cut", "html", "an empty object", "null", "a list", "deep"])
def test_garbage_in_the_place_of_an_error_of_a_change_set_is_not_crms_refusal(
    handful: Handful, waits: list[float], garbage: str
) -> None:
    def spoil(body: bytes) -> bytes:
        return re.sub(rb'\{"error".*?\}\}', lambda match: GARBAGE[garbage](match[0]), body)

    handful.crm.faults.error(None, order=NEW[0], kind="write", message="A plug-in said no.")
    handful.crm.faults.spoil(spoil, None, kind="write")
    ended = handful.push()
    assert ended.exit_code == 3
    assert (ended.result(NEW[0])["outcome"], ended.result(NEW[0])["reason"]) == ("failed", "crm_unavailable")
    assert ended.orders["created"] + ended.orders["updated"] == len(GOING) - 1
    handful.assert_adds_up(ended)


COMMANDS: dict[str, tuple[tuple[str, ...], str]] = {
    "plan": (("plan",), "^salesorders\\?"),
    "check, privileges held": (("check",), "RetrieveUserPrivileges"),
    "check, privileges needed": (("check",), "^EntityDefinitions.*Privileges"),
    "explain": (("explain", NEW[0]), "^salesorders\\?"),
    "sop-mode": (("sop-mode", "disable", "--yes"), "^salesorders\\?"),
    "undo": (("undo", "--plan"), "^salesorders\\?"),
}


@pytest.mark.parametrize(
    ("command", "garbage"),
    some_pairs(COMMANDS, ["cut", "html", "an empty object", "null", "deep", "value of nothings"], 2),
)
def test_garbage_ends_every_command_with_a_code(
    handful: Handful, waits: list[float], command: str, garbage: str
) -> None:
    arguments, read = COMMANDS[command]
    if command == "undo":
        arguments = (*arguments, "--run", str(handful.push().data["run_id"]))
    fault = handful.crm.faults.spoil_part(GARBAGE[garbage], None, method="GET", path=read)
    ended = handful.loader(*arguments)
    assert fault.fired
    assert (ended.exit_code, ended.error["code"]) == (5, "crm_unexpected_reply"), ended.stdout
    assert ended.error["remedy"]


@pytest.mark.parametrize("trouble", ["lost after it was done", "lost before", "503", "cut"])
def test_a_switch_of_the_organisation_outlasts_a_lost_answer(
    handful: Handful, waits: list[float], trouble: str
) -> None:
    installing: dict[str, Callable[..., object]] = {
        "lost after it was done": handful.crm.faults.reset_after_commit,
        "lost before": handful.crm.faults.reset_before_commit,
        "503": handful.crm.faults.unavailable,
        "cut": lambda times, **conditions: handful.crm.faults.spoil(lambda body: b"{", times, **conditions),
    }
    installing[trouble](2, method="PATCH")
    assert handful.loader("sop-mode", "enable", "--integration-user", "--yes").exit_code == 0
    handful.crm.faults.unavailable(None, method="PATCH")
    ended = handful.loader("sop-mode", "enable", "--yes")
    assert (ended.exit_code, ended.error["code"]) == (5, "crm_unavailable")


def spoilt(change: Callable[[dict[str, Any]], object]) -> Change:
    """Changes the content of a reply."""

    def spoil(body: bytes) -> bytes:
        content = json.loads(body)
        change(content)
        return json.dumps(content).encode()

    return spoil


def spoilt_rows(change: Callable[[dict[str, Any]], object]) -> Change:
    """Changes the rows of a reply."""
    return spoilt(lambda content: [change(row) for row in content["value"]])


def without_versions(body: bytes) -> bytes:
    return re.sub(rb'"@odata.etag":"[^,]*",', b"", body)


ODD_ROWS: dict[str, Callable[[dict[str, Any]], object]] = {
    "without an id": lambda row: row.pop("salesorderid"),
    "with a number for an id": lambda row: row.update(salesorderid=5),
    "without a name": lambda row: row.pop("name"),
    "with a list for a name": lambda row: row.update(name=["x"]),
    "without lines": lambda row: row.pop("order_details"),
    "with null for lines": lambda row: row.update(order_details=None),
    "with texts for lines": lambda row: row.update(order_details=["x"]),
    "with lines without ids": lambda row: [line.pop("salesorderdetailid") for line in row["order_details"]],
    "without a column that was asked for": lambda row: row.pop("freightamount"),
    "with text for an amount": lambda row: row.update(freightamount="much"),
    "with no date": lambda row: row.update(requestdeliveryby="soon"),
    "with text for a state": lambda row: row.update(statecode="Active"),
    "with an object for a look-up": lambda row: row.update(_customerid_value={}),
}


@pytest.mark.parametrize("odd", ODD_ROWS)
def test_orders_that_are_not_what_was_asked_for_are_not_written(handful: Handful, waits: list[float], odd: str) -> None:
    before = {order: handful.in_crm(order) for order in ORDERS}
    handful.crm.faults.spoil_part(spoilt_rows(ODD_ROWS[odd]), None, method="GET", path="^salesorders\\?")
    ended = handful.push()
    assert (ended.exit_code, ended.error["code"]) == (5, "crm_unexpected_reply")
    assert ended.orders["failed"] == len(ORDERS)
    handful.assert_adds_up(ended)
    assert {order: handful.in_crm(order) for order in ORDERS} == before


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["value", "UserId", "LogicalName", "error", "code"]) | st.text(max_size=3), inner
        )
    ),
    max_leaves=8,
)


@settings(
    max_examples=60 if THOROUGH else 20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(read=st.sampled_from(sorted(READS.values())), content=JSON)
def test_any_json_in_the_place_of_a_read_is_settled(
    handful: Handful, waits: list[float], live_metadata: None, read: str, content: Any
) -> None:
    handful.crm.faults.clear()
    handful.crm.faults.spoil_part(lambda body: json.dumps(content).encode(), None, method="GET", path=read)
    assert_ended_well(handful, handful.push())


PROXY = {"Server": "squid/6.1", "Content-Type": "text/html"}
PAGE = "<html><head><title>ERROR: Not found here</title></head><body>ask your administrator</body></html>"


@pytest.mark.parametrize(
    ("where", "status"),
    [
        (where, status)
        for where, status in some_pairs(
            ("the first read", "a batch of reads", "orders", "writes"),
            (400, 403, 404, 405, 407, 413, 500, 502, 503, 504),
            4,
        )
        if (where, status) != ("orders", 413)  # these go in a batch then
    ],
)
def test_a_proxy_s_page_is_an_outage_that_says_who_answered(
    handful: Handful, waits: list[float], where: str, status: int
) -> None:
    handful.settings.update(CRM_BATCH_SIZE="20", CRM_CONCURRENCY="1")
    conditions: dict[str, Any] = {
        "the first read": {"path": "WhoAmI"},
        "a batch of reads": {"path": r"\$batch", "kind": "read"},
        "orders": {"path": "/salesorders"},
        "writes": {"kind": "write"},
    }[where]
    handful.crm.faults.page(None, status=status, body=PAGE, headers=PROXY, **conditions)
    ended = handful.push()
    assert (ended.exit_code, ended.error["code"]) == (5, "crm_unavailable"), ended.stdout
    for words in (str(status), "squid/6.1", "Not found here"):
        assert words in ended.error["message"]
    assert "table" not in ended.error["message"]
    if "data" in ended.envelope:
        assert {row["reason"] for row in ended.data["results"] if row["outcome"] == "failed"} == {"crm_unavailable"}
        handful.assert_adds_up(ended)
    handful.crm.faults.clear()
    handful.push()
    handful.assert_in_sync()


def test_what_a_proxy_finds_too_large_is_sent_in_halves(handful: Handful, waits: list[float]) -> None:
    def is_large(seen: Seen) -> bool:
        return seen.writes > 30 or seen.reads > 20

    handful.crm.faults.page(None, status=413, body=PAGE, headers=PROXY, when=is_large)
    ended = handful.push()
    assert ended.orders["failed"] == 0
    handful.crm.faults.clear()
    handful.assert_in_sync()


def test_one_order_that_a_proxy_finds_too_large_waits_alone(handful: Handful, waits: list[float]) -> None:
    handful.crm.faults.page(None, status=413, body=PAGE, headers=PROXY, kind="write", order=NEW[0])
    ended = handful.push()
    assert ended.exit_code == 3
    result = ended.result(NEW[0])
    assert (result["outcome"], result["reason"]) == ("failed", "crm_unavailable")
    assert "squid/6.1" in result["message"]
    assert ended.orders["created"] + ended.orders["updated"] == len(GOING) - 1
    handful.assert_adds_up(ended)


def test_a_url_that_a_proxy_finds_too_long_goes_in_a_batch(handful: Handful) -> None:
    handful.crm.faults.page(None, status=414, body=PAGE, headers=PROXY, when=lambda seen: len(seen.path) > 200)
    assert handful.push().exit_code == 3
    handful.crm.faults.clear()
    handful.assert_in_sync()


def test_an_order_repeated_in_two_pages_is_one_order(handful: Handful) -> None:
    repeated = spoilt(lambda content: content["value"].extend(content["value"][:2]))
    handful.crm.faults.spoil_part(repeated, None, method="GET", path="^(salesorders|accounts|products)\\?")
    ended = handful.push()
    assert {row["reason"] for row in ended.data["results"] if row["outcome"] == "blocked"} == {"product_not_found"}
    assert ended.orders["failed"] == 0
    handful.assert_in_sync()


def test_an_order_without_its_version_is_read_again(handful: Handful) -> None:
    handful.crm.keep_parts = True
    handful.crm.faults.spoil_part(without_versions, None, method="GET", path="^salesorders\\?")
    ended = handful.push()
    assert ended.orders["updated"] == 3
    parts = [part for request in handful.crm.requests for part in request.parts]
    assert sum(part.startswith("GET salesorders(") for part in parts) >= 3
    handful.crm.faults.clear()
    handful.assert_in_sync()


def test_an_order_whose_version_nobody_tells_is_not_written(handful: Handful) -> None:
    handful.crm.faults.spoil_part(without_versions, None, method="GET", path="^salesorders")
    ended = handful.push()
    told = {row["key"]: row["reason"] for row in ended.data["results"] if row["outcome"] == "blocked"}
    assert {told.get(order) for order in IN_CRM} == {"version_missing"}
    assert ended.orders["created"] == len(NEW)
    handful.assert_adds_up(ended)


@pytest.mark.parametrize("deleted", ["order", "line"])
def test_what_is_deleted_between_read_and_write_is_not_made_by_an_update(handful: Handful, deleted: str) -> None:
    """An order that is gone is created anew as a whole; of a line that is gone no part comes back alone."""
    (order,) = handful.in_crm(IN_CRM[0])
    row = ("salesorder", order["salesorderid"])
    if deleted == "line":
        row = ("salesorderdetail", order["lines"][0]["salesorderdetailid"])
    handful.execute("update crm_salesorderdetail set quantity = quantity + 1 where salesorderid = ?", IN_CRM[0])

    def meanwhile(seen: object) -> bool:
        if trouble in handful.crm.faults.waiting:
            handful.crm.faults.waiting.remove(trouble)
            handful.crm.delete(*row)
            handful.atomicity.remember()
        return False

    trouble = handful.crm.faults.reset_before_commit(1, kind="write", when=meanwhile)
    ended = handful.push()
    assert ended.orders["failed"] == 0
    handful.assert_in_sync()


def test_every_update_names_what_has_to_be_there(handful: Handful) -> None:
    """Without If-Match a PATCH of a row that is gone makes a new one."""
    handful.crm.keep_parts = True
    handful.push()
    seen: list[tuple[str, str, str | None]] = []
    for request in handful.crm.requests:
        for part, version in zip(request.parts, request.if_match, strict=True):
            method, _, target = part.partition(" ")
            if method in ("PATCH", "DELETE") and not target.endswith("/$ref"):
                seen.append((method, target, version))
    assert len(seen) > 20
    assert [each for each in seen if not each[2]] == []
    assert any(method == "DELETE" and version == "*" for method, _, version in seen)
    assert any(target.startswith("salesorders(") and version != "*" for _, target, version in seen)


@pytest.mark.parametrize(
    "link", [5, "http://[", "salesorders?$select=name", "", ["x"], "https://elsewhere.example/page"]
)
def test_links_to_further_pages_that_lead_nowhere_end_the_run(
    handful: Handful, waits: list[float], link: object
) -> None:
    linked = spoilt(lambda content: content.update({"@odata.nextLink": link}))
    handful.crm.faults.spoil_part(linked, None, method="GET", path="^salesorders\\?")
    ended = handful.push()
    if link:
        assert (ended.exit_code, ended.orders["failed"]) == (5, len(ORDERS)), ended.stdout
        assert ended.error["code"] == "crm_unexpected_reply" or "elsewhere" in str(link)
    assert_ended_well(handful, ended)
