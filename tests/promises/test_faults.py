"""Whatever CRM and the network do to a run, the end is the same: every order once, whole, and as staged."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from emulator.faults import Faults
from tests.promises.conftest import GOING, NEW, WITHOUT_PRODUCT, Ended, Handful

TOO_MANY = "0x80072322"
WRITES: dict[str, Any] = {"kind": "write"}
READS: dict[str, Any] = {"kind": "read"}


def assert_all_went(handful: Handful, ended: Ended) -> None:
    assert ended.exit_code == 3, ended.stdout + ended.stderr
    assert ended.orders == {"created": 5, "updated": 3, "unchanged": 0, "skipped": 1, "blocked": 1, "failed": 0}
    handful.assert_adds_up(ended)
    handful.assert_in_sync()


def test_without_trouble(handful: Handful) -> None:
    ended = handful.push()
    assert ended.result(WITHOUT_PRODUCT)["reason"] == "product_not_found"
    assert_all_went(handful, ended)


PASSING: dict[str, Callable[[Faults], object]] = {
    "429 on reads": lambda faults: faults.throttle(5, retry_after=7, **READS),
    "429 on writes": lambda faults: faults.throttle(5, retry_after=7, **WRITES),
    "429 without Retry-After": lambda faults: faults.throttle(5, retry_after=None),
    "429 in parts of a batch": lambda faults: faults.error(
        4, code=TOO_MANY, status=429, method="POST", path="^salesorders$"
    ),
    "503 on reads": lambda faults: faults.unavailable(5, **READS),
    "503 on writes": lambda faults: faults.unavailable(5, **WRITES),
    "503 with Retry-After": lambda faults: faults.unavailable(3, retry_after=7, **WRITES),
    "reset before reads": lambda faults: faults.reset_before_commit(4, **READS),
    "reset before commit": lambda faults: faults.reset_before_commit(4, **WRITES),
    "reset after commit": lambda faults: faults.reset_after_commit(4, **WRITES),
    "reset after commit, then 503": lambda faults: (
        faults.reset_after_commit(1, **WRITES),
        faults.unavailable(3, **READS, skip=3),
    ),
    "deadlock of one order": lambda faults: faults.deadlock(3, order="ORDST2226"),
    "deadlock of any order": lambda faults: faults.deadlock(4, method="PATCH"),
    "deadlock of a read": lambda faults: faults.deadlock(3, method="GET", path="^salesorders"),
    "deadlock of a look-up": lambda faults: faults.deadlock(3, method="GET", path="^accounts"),
}


ONE_BY_ONE = ("429 on writes", "429 in parts of a batch", "503 on writes", "reset after commit")


@pytest.mark.parametrize(
    ("trouble", "batch_size"), [*((each, "1000") for each in PASSING), *((each, "1") for each in ONE_BY_ONE)]
)
def test_what_passes_is_waited_for(handful: Handful, waits: list[float], trouble: str, batch_size: str) -> None:
    handful.settings["CRM_BATCH_SIZE"] = batch_size
    PASSING[trouble](handful.crm.faults)
    assert_all_went(handful, handful.push())
    if "Retry-After" in trouble and "without" not in trouble:
        assert waits.count(7.0) >= 2, "Retry-After was not obeyed"


def test_retry_after_is_waited_for_on_the_clock(handful: Handful) -> None:
    handful.crm.faults.throttle(1, retry_after=1, **WRITES)
    began = time.monotonic()
    ended = handful.push()
    assert time.monotonic() - began >= 1
    assert_all_went(handful, ended)


def test_an_outage_of_half_a_minute_is_outlasted(handful: Handful, waits: list[float]) -> None:
    """Writes are refused until the run has waited for half a minute in all."""
    handful.crm.faults.unavailable(None, **WRITES, when=lambda seen: sum(waits) < 30)
    assert_all_went(handful, handful.push())


@pytest.mark.parametrize("batch_size", ["1", "1000"])
def test_a_reply_slower_than_the_timeout_is_not_sent_twice(handful: Handful, batch_size: str) -> None:
    handful.settings.update(CRM_TIMEOUT="1", CRM_BATCH_SIZE=batch_size)
    handful.crm.faults.delay_after_commit(1.6, times=2, **WRITES)
    assert_all_went(handful, handful.push())


@pytest.mark.parametrize("batch_size", ["1", "1000"])
def test_a_request_that_commits_after_its_timeout_is_not_applied_twice(handful: Handful, batch_size: str) -> None:
    handful.settings.update(CRM_TIMEOUT="1", CRM_BATCH_SIZE=batch_size)
    handful.crm.faults.delay_before_commit(1.6, times=2, **WRITES)
    ended = handful.push()
    while handful.crm.in_flight:
        time.sleep(0.05)
    assert_all_went(handful, ended)


def test_a_batch_that_is_too_large_for_crm_is_sent_in_halves(handful: Handful) -> None:
    handful.crm.max_body = 40_000
    ended = handful.push()
    assert 413 in {request.status for request in handful.crm.requests}
    assert_all_went(handful, ended)


@pytest.mark.parametrize(("order", "batch_size"), [("ORDST2243", "1000"), ("ORDST2226", "1000"), ("ORDST2226", "1")])
def test_an_order_that_crm_refuses_takes_no_other_along(handful: Handful, order: str, batch_size: str) -> None:
    handful.settings["CRM_BATCH_SIZE"] = batch_size
    trouble = handful.crm.faults.error(None, order=order, code="0x80040265", message="A plug-in said no.", kind="write")
    before = handful.in_crm(order)
    ended = handful.push()
    assert ended.exit_code == 3
    assert trouble.fired == 1
    result = ended.result(order)
    assert (result["outcome"], result["reason"]) == ("failed", "crm_rejected")
    assert result["message"] == "A plug-in said no. (0x80040265)"
    assert ended.orders["failed"] == 1
    assert ended.orders["created"] + ended.orders["updated"] == len(GOING) - 1
    assert handful.in_crm(order) == before
    handful.assert_crm_holds_what_is_staged(order)
    handful.assert_adds_up(ended)

    again = handful.push()
    assert (again.orders["failed"], again.data["requests"]["write"]) == (1, 1)
    handful.assert_adds_up(again)
    (queued,) = handful.query("select attempts, message from main_journal.retry_queue where record_key = ?", order)
    assert queued == (2, "A plug-in said no. (0x80040265)")

    handful.crm.faults.clear()
    healed = handful.push()
    assert healed.orders["created"] + healed.orders["updated"] == 1
    (queued,) = handful.query("select state, resolution from main_journal.retry_queue where record_key = ?", order)
    assert queued == ("resolved", "synced")
    handful.assert_in_sync()


def test_a_line_that_crm_refuses_leaves_no_part_of_its_order(handful: Handful) -> None:
    """The header of the change set was fine: it must be gone all the same."""
    handful.crm.faults.error(
        None, method="PATCH", path="^salesorderdetails", code="0x80040265", message="No such line."
    )
    ended = handful.push()
    assert ended.orders["failed"] == len(GOING)
    assert all(handful.in_crm(order) == [] for order in NEW)
    handful.assert_whole()
    handful.crm.faults.clear()
    assert handful.push().orders["failed"] == 0
    handful.assert_in_sync()


TROUBLE_THAT_STAYS: dict[str, tuple[int, Callable[[Faults], object]]] = {
    "an error": (1, lambda faults: faults.error(None, method="GET", path="^salesorders", status=500)),
    "a refusal": (1, lambda faults: faults.error(None, method="GET", path="^salesorders", status=400)),
    "no service": (5, lambda faults: faults.unavailable(None, path="salesorders", method="GET")),
    "no writes": (5, lambda faults: faults.unavailable(None, **WRITES)),
    "no end of resets": (5, lambda faults: faults.reset_before_commit(None, path="salesorders")),
    "no end of lost replies and no reads": (
        5,
        lambda faults: (faults.reset_after_commit(None, **WRITES), faults.unavailable(None, skip=4, **READS)),
    ),
    "throttled for good": (5, lambda faults: faults.throttle(None, **WRITES)),
    "credentials that end": (6, lambda faults: faults.expire_token(None, **WRITES)),
}


@pytest.mark.parametrize(
    ("trouble", "batch_size"),
    [*((each, "1") for each in TROUBLE_THAT_STAYS), ("no writes", "1000"), ("no end of resets", "1000")],
)
def test_trouble_that_stays_ends_the_run_and_loses_no_order(
    handful: Handful, waits: list[float], trouble: str, batch_size: str
) -> None:
    handful.settings.update(CRM_BATCH_SIZE=batch_size, CRM_CONCURRENCY="1")
    exit_code, install = TROUBLE_THAT_STAYS[trouble]
    install(handful.crm.faults)
    ended = handful.push()
    assert ended.exit_code == exit_code, ended.stdout + ended.stderr
    assert ended.error["remedy"]
    assert sum(ended.orders.values()) == 10
    assert ended.orders["failed"] >= 1
    assert {row["reason"] for row in ended.data["results"] if row["outcome"] == "failed"} == {"crm_unavailable"}
    handful.assert_adds_up(ended)
    handful.crm.faults.clear()
    handful.crm.token = handful.crm.token_for(None)
    handful.push()
    handful.assert_in_sync()


@pytest.mark.parametrize("order", ["ORDST2243", "ORDST2226"])
def test_an_order_that_crm_never_answers_takes_no_other_along(handful: Handful, waits: list[float], order: str) -> None:
    """As a firewall does that dislikes a text, or a plug-in that never ends."""
    handful.crm.faults.reset_before_commit(None, order=order, **WRITES)
    ended = handful.push()
    assert ended.exit_code == 3
    assert (ended.orders["failed"], ended.orders["created"] + ended.orders["updated"]) == (1, len(GOING) - 1)
    assert (ended.result(order)["outcome"], ended.result(order)["reason"]) == ("failed", "crm_unavailable")
    handful.assert_crm_holds_what_is_staged(order)
    handful.assert_adds_up(ended)
    handful.crm.faults.clear()
    assert handful.push("--order", order).exit_code == 0
    handful.assert_in_sync()


@pytest.mark.parametrize("trouble", ["throttled", "deadlocked"])
def test_an_order_whose_trouble_never_passes_was_not_rejected(
    handful: Handful, waits: list[float], trouble: str
) -> None:
    if trouble == "throttled":
        handful.crm.faults.error(None, code=TOO_MANY, status=429, kind="write", order=NEW[0])
    else:
        handful.crm.faults.deadlock(None, kind="write", order=NEW[0])
    ended = handful.push()
    assert ended.exit_code == 3
    assert (ended.result(NEW[0])["outcome"], ended.result(NEW[0])["reason"]) == ("failed", "crm_unavailable")
    assert ended.orders["failed"] == 1
    handful.assert_adds_up(ended)


@pytest.mark.parametrize("path", ["WhoAmI", r"\$batch"])
def test_trouble_before_the_first_order_writes_nothing(handful: Handful, waits: list[float], path: str) -> None:
    handful.crm.faults.unavailable(None, path=path)
    ended = handful.push()
    assert (ended.exit_code, ended.error["code"]) == (5, "crm_unavailable")
    assert [request for request in handful.crm.requests if request.writes] == []
    handful.crm.faults.clear()
    handful.push()
    handful.assert_in_sync()


def test_crm_changed_by_hand_between_reading_and_writing_is_read_again(handful: Handful) -> None:
    """Someone edits one order, and someone deletes another, after the run has read them."""
    changed, deleted = handful.in_crm("ORDST2226")[0], handful.in_crm("ORDST2227")[0]

    def meanwhile(seen: object) -> bool:
        handful.crm.update("salesorder", changed["salesorderid"], {"description": "by hand"})
        handful.crm.delete("salesorder", deleted["salesorderid"])
        handful.atomicity.remember()
        handful.crm.faults.waiting.remove(trouble)
        return False

    trouble = handful.crm.faults.reset_before_commit(1, kind="write", when=meanwhile)
    ended = handful.push()
    assert ended.orders["failed"] == 0
    handful.assert_crm_holds_what_is_staged()
    handful.assert_in_sync()


def test_most_requests_at_once_are_as_many_as_allowed(handful: Handful) -> None:
    handful.settings.update(CRM_BATCH_SIZE="1", CRM_CONCURRENCY="3")
    handful.crm.faults.latency(0.05)
    assert_all_went(handful, handful.push())
    assert 2 <= handful.crm.most_in_flight <= 3


def test_crms_hint_caps_the_requests_at_once(handful: Handful) -> None:
    handful.settings.update(CRM_BATCH_SIZE="1", CRM_CONCURRENCY="8")
    handful.crm.dop_hint = 2
    handful.crm.faults.latency(0.05)
    assert_all_went(handful, handful.push())
    assert handful.crm.most_in_flight <= 2


def test_no_request_has_more_operations_than_allowed(handful: Handful) -> None:
    handful.settings["CRM_BATCH_SIZE"] = "20"
    ended = handful.push()
    sizes = [request.operations for request in handful.crm.requests if request.writes]
    largest = max(len(handful.in_crm(order)[0]["lines"]) for order in GOING)
    assert len(sizes) > 2
    assert max(sizes) <= max(20, 2 * largest + 5)
    assert_all_went(handful, ended)
