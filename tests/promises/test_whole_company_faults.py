"""Units, products, accounts, orders and invoices in one push, under every fault: the end is the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from emulator.faults import Faults
from tests.conftest import Built
from tests.promises.test_death import until, writes
from tests.promises.whole_company import CREATED, ENDING, PAID, UNUSED, UPDATED, Whole, open_few
from tests.thorough import some, some_pairs

WRITES: dict[str, Any] = {"kind": "write"}
READS: dict[str, Any] = {"kind": "read"}


@pytest.fixture
def handful(built_whole: Built, in_memory: Path) -> Iterator[Whole]:
    with ExitStack() as stack:
        yield open_few(stack, built_whole, in_memory)


@pytest.fixture
def few(handful: Whole, waits: list[float]) -> Whole:
    return handful


PASSING: dict[str, Callable[[Faults], object]] = {
    "429 on reads": lambda faults: faults.throttle(5, retry_after=7, **READS),
    "429 on writes": lambda faults: faults.throttle(5, retry_after=7, **WRITES),
    "503 on reads": lambda faults: faults.unavailable(5, **READS),
    "503 on writes": lambda faults: faults.unavailable(5, **WRITES),
    "reset before reads": lambda faults: faults.reset_before_commit(4, **READS),
    "reset before commit": lambda faults: faults.reset_before_commit(4, **WRITES),
    "reset after commit": lambda faults: faults.reset_after_commit(4, **WRITES),
    "deadlock of an account": lambda faults: faults.deadlock(3, method="POST", path="^accounts"),
    "deadlock of a product": lambda faults: faults.deadlock(3, method="PATCH", path="^products"),
    "deadlock of a unit": lambda faults: faults.deadlock(3, method="POST", path="^uoms"),
}


@pytest.mark.parametrize("trouble", some(PASSING, 3))
def test_what_passes_is_waited_for(few: Whole, trouble: str) -> None:
    PASSING[trouble](few.crm.faults)
    ended = few.push()
    assert ended.exit_code == 0, ended.stdout + ended.stderr
    assert (few.count(ended, "created"), few.count(ended, "updated")) == (CREATED, UPDATED)
    few.assert_complete()


@pytest.mark.parametrize("number", some(range(0, 28, 3), 3))
def test_a_lost_reply_doubles_nothing_and_leaves_nothing_half(few: Whole, number: int) -> None:
    """Each record has a request of its own; three replies in a row are lost, and one request in between."""
    few.settings.update(CRM_BATCH_SIZE="1", CRM_CONCURRENCY="1")
    few.crm.faults.reset_after_commit(3, **WRITES, skip=number)
    few.crm.faults.reset_before_commit(1, **WRITES, skip=number + 1)
    ended = few.push()
    assert ended.exit_code == 0, ended.stdout + ended.stderr
    assert (few.count(ended, "created"), few.count(ended, "updated")) == (CREATED, UPDATED)
    few.assert_complete()


@pytest.mark.parametrize(("number", "lost"), some_pairs(range(5), ["before", "after"], 3))
def test_a_lost_reply_of_a_day_s_changes_is_settled(few: Whole, lost: str, number: int) -> None:
    few.settings.update(CRM_BATCH_SIZE="1", CRM_CONCURRENCY="1")
    assert few.push().exit_code == 0
    few.a_day_passes()
    (few.crm.faults.reset_after_commit if lost == "after" else few.crm.faults.reset_before_commit)(
        1, **WRITES, skip=number
    )
    ended = few.push()
    assert ended.exit_code == 0, ended.stdout + ended.stderr
    assert few.count(ended, "updated") == {"account": 1, "uomschedule": 0, "product": 1, "salesorder": 2, "invoice": 1}
    assert_a_day_has_passed(few)


def assert_a_day_has_passed(few: Whole) -> None:
    order = few.row("salesorder", name=ENDING)
    assert (order["description"], order["statecode"], order["statuscode"]) == ("Final", 3, 100001)
    assert len(few.crm.rows("orderclose")) == 1
    invoice = few.row("invoice", name=PAID)
    assert (invoice["statecode"], invoice["statuscode"]) == (2, 100001)
    assert few.row("product", productnumber=UNUSED)["statecode"] == 1
    few.assert_complete()


@pytest.mark.parametrize("part", some(range(20), 5))
def test_a_run_that_dies_anywhere_is_completed_by_the_next(few: Whole, part: int) -> None:
    """At one step of twenty that are spread over the run: before or after a request, a write or a commit."""
    few.settings["CRM_BATCH_SIZE"] = "4"
    few.die(3 + part * 11)
    few.assert_whole()
    ended = few.push()
    assert ended.exit_code == 0, ended.stdout + ended.stderr
    few.assert_complete()


@pytest.mark.parametrize("part", some(range(10), 5))
def test_a_run_that_dies_over_a_day_s_changes_is_completed_by_the_next(few: Whole, part: int) -> None:
    few.settings["CRM_BATCH_SIZE"] = "1"
    assert few.push().exit_code == 0
    few.a_day_passes()
    few.die(8 + part * 11)
    few.assert_whole()
    ended = few.push()
    assert ended.exit_code == 0, ended.stdout + ended.stderr
    assert_a_day_has_passed(few)


def test_a_process_that_is_killed_again_and_again_is_completed_by_the_next(few: Whole) -> None:
    few.settings.update(CRM_BATCH_SIZE="1", CRM_CONCURRENCY="1")
    few.crm.faults.delay_before_commit(0.1, times=None, **WRITES)
    few.watch()
    for wanted in (2, 9, 9):
        before = writes(few)
        process = few.start("push")
        until(lambda: writes(few) >= before + wanted)  # noqa: B023
        process.kill()
        process.communicate()
    until(lambda: not few.crm.in_flight)
    few.assert_whole()
    few.crm.faults.clear()
    ended = few.push()
    assert ended.exit_code == 0, ended.stdout + ended.stderr
    few.assert_complete()
