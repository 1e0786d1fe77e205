"""Runs that are stopped, killed, run twice or lose their warehouse: nothing doubled, nothing half, nothing lost."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Sequence

import pytest

from loader.warehouse.duckdb import DuckDBWarehouse
from tests.promises.conftest import GOING, IN_CRM, NEW, WITHOUT_PRODUCT, Ended, Handful
from tests.promises.own_parts import losing_its_lock, with_journal, with_warehouse
from tests.thorough import some_pairs


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.01)


def ended(process: subprocess.Popen[str]) -> Ended:
    stdout, stderr = process.communicate(timeout=60)
    return Ended(process.returncode, stdout, stderr)


def writes(handful: Handful) -> int:
    return sum(request.writes > 0 for request in handful.crm.requests)


def one_by_one(handful: Handful, seconds: float) -> None:
    """Each order in a request of its own, one after the other, each held up for a while."""
    handful.settings.update(CRM_BATCH_SIZE="1", CRM_CONCURRENCY="1")
    handful.crm.faults.delay_before_commit(seconds, times=None, kind="write")


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_run_after_the_orders_in_hand(
    handful: Handful, number: signal.Signals, exit_code: int
) -> None:
    one_by_one(handful, 0.3)
    handful.watch()
    process = handful.start("push")
    until(lambda: writes(handful) >= 2)
    process.send_signal(number)
    result = ended(process)
    assert result.exit_code == exit_code, result.stdout + result.stderr
    assert "Stopping after the records that are being written" in result.stderr
    went = [row["key"] for row in result.data["results"] if row["outcome"] in ("created", "updated")]
    left = {row["key"] for row in result.data["results"] if row["outcome"] == "failed"}
    assert 2 <= len(went) == result.orders["created"] + result.orders["updated"] < len(GOING)
    assert {row["reason"] for row in result.data["results"] if row["key"] in left} == {"interrupted"}
    assert left | set(went) == GOING
    handful.assert_adds_up(result)
    handful.assert_crm_holds_what_is_staged(*left)
    assert handful.query("select outcome from main_journal.sync_run") == [("interrupted",)]

    handful.crm.faults.clear()
    handful.push()
    handful.assert_in_sync()


def test_a_signal_before_the_first_order_writes_nothing(handful: Handful) -> None:
    handful.crm.faults.latency(0.4)
    handful.watch()
    process = handful.start("push")
    until(lambda: handful.crm.requests)
    process.send_signal(signal.SIGTERM)
    result = ended(process)
    assert result.exit_code == 143, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    assert writes(handful) == 0
    assert result.orders["failed"] == len(handful.staged()[0])
    handful.assert_adds_up(result)
    handful.crm.faults.clear()
    handful.push()
    handful.assert_in_sync()


def test_a_second_signal_ends_the_run_at_once(handful: Handful) -> None:
    one_by_one(handful, 1.0)
    process = handful.start("push")
    until(lambda: writes(handful) >= 1)
    process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    result = ended(process)
    assert result.exit_code == 130
    assert "Traceback" not in result.stderr
    handful.crm.faults.clear()
    handful.push()
    handful.assert_in_sync()


@pytest.mark.parametrize(
    ("arguments", "number"), some_pairs([("push",), ("plan",), ("check",)], [signal.SIGINT, signal.SIGTERM], 2)
)
def test_a_second_signal_does_not_wait_for_a_silent_crm(
    handful: Handful, arguments: tuple[str, ...], number: signal.Signals
) -> None:
    handful.settings["CRM_TIMEOUT"] = "600"
    handful.crm.faults.delay_before_commit(600, None)
    process = handful.start(*arguments)
    until(lambda: handful.crm.requests)
    process.send_signal(number)
    time.sleep(0.5)
    process.send_signal(number)
    result = ended(process)
    assert handful.crm.in_flight, "CRM was to be still silent"
    assert result.exit_code == 128 + number, result.stdout + result.stderr
    assert result.error["code"] == "interrupted"
    assert "Traceback" not in result.stderr


def test_the_first_signal_settles_what_crm_still_answers(handful: Handful) -> None:
    """CRM is slow to reply to one write, and that reply counts."""
    handful.settings.update(CRM_BATCH_SIZE="1", CRM_CONCURRENCY="1")
    handful.crm.faults.delay_after_commit(2, 1, kind="write")
    process = handful.start("push")
    until(lambda: writes(handful) >= 1)
    process.send_signal(signal.SIGTERM)
    result = ended(process)
    assert result.exit_code == 143, result.stdout + result.stderr
    assert result.orders["created"] + result.orders["updated"] == 1
    handful.assert_adds_up(result)


def test_an_undo_that_is_stopped_finishes_the_order_in_hand(handful: Handful) -> None:
    done = handful.push().data["run_id"]
    handful.crm.faults.latency(0.4)
    handful.crm.reset_log()
    process = handful.start("undo", "--run", done, "--cancel-created", "--yes")
    until(lambda: writes(handful) >= 2)
    process.send_signal(signal.SIGTERM)
    result = ended(process)
    assert result.exit_code == 143, result.stdout + result.stderr
    assert 1 <= len(result.data["records"]) < len(GOING)
    assert {each["outcome"] for each in result.data["records"]} <= {"undone", "cancelled"}
    handful.crm.faults.clear()
    again = handful.loader("undo", "--run", done, "--cancel-created", "--yes")
    assert again.exit_code == 0, again.stdout


def test_killed_again_and_again_the_next_run_completes_it(handful: Handful) -> None:
    """At the first read, before, in and after writes."""
    one_by_one(handful, 0.15)
    handful.watch()
    points: list[tuple[int, int, float]] = [(1, 0, 0.0), (1, 1, 0.05), (1, 2, 0.2)]
    for requests, written, pause in points:
        handful.crm.reset_log()
        process = handful.start("push")
        until(lambda: len(handful.crm.requests) >= requests and writes(handful) >= written)  # noqa: B023
        time.sleep(pause)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    until(lambda: not handful.crm.in_flight)
    handful.assert_whole()
    handful.crm.faults.clear()
    healed = handful.push()
    assert healed.exit_code == 3, healed.stdout
    handful.assert_in_sync()
    outcomes = [row[0] for row in handful.query("select outcome from main_journal.sync_run order by started_at")]
    assert outcomes[-2:] == ["blocked", "blocked"]
    assert set(outcomes[:-2]) == {"died"}


@pytest.mark.parametrize("orders", [NEW, IN_CRM])
def test_a_killed_runs_request_that_commits_late_doubles_nothing(handful: Handful, orders: tuple[str, ...]) -> None:
    """The next run has read CRM, and has written, when the request of the dead one is applied."""
    handful.crm.faults.delay_before_commit(1.5, kind="write")
    handful.watch()
    flags = [flag for order in orders for flag in ("--order", order)]
    process = handful.start("push", *flags)
    until(lambda: writes(handful) == 1)
    process.kill()
    process.communicate()
    healed = handful.push()
    assert handful.crm.in_flight, "the request was to be still under way"
    assert healed.orders["failed"] == 0
    until(lambda: not handful.crm.in_flight)
    handful.assert_in_sync()


def test_a_killed_runs_request_that_commits_late_undoes_nothing(handful: Handful) -> None:
    """GP has changed again, and the next run has written that, when the older change is applied."""
    orders = (NEW[0], IN_CRM[0])
    flags = [flag for order in orders for flag in ("--order", order)]
    handful.push(*flags)
    for order in orders:
        handful.edit(order)
    handful.crm.faults.delay_before_commit(1.5, kind="write")
    handful.watch()
    process = handful.start("push", *flags)
    before = writes(handful)
    until(lambda: writes(handful) == before + 1)
    process.kill()
    process.communicate()
    for order in orders:
        handful.edit(order)
    assert handful.push(*flags).orders["updated"] == 2
    assert handful.crm.in_flight, "the request was to be still under way"
    until(lambda: not handful.crm.in_flight)
    assert handful.push(*flags).orders["unchanged"] == 2
    handful.assert_whole()


@pytest.mark.parametrize("order", [NEW[0], IN_CRM[0]])
def test_a_killed_runs_request_that_commits_between_reading_and_writing_doubles_nothing(
    handful: Handful, order: str
) -> None:
    """The next run's write waits until the request of the dead one is applied."""
    handful.crm.faults.delay_before_commit(1.0, kind="write")
    handful.crm.faults.delay_before_commit(1.5, kind="write")
    handful.watch()
    process = handful.start("push", "--order", order)
    until(lambda: writes(handful) == 1)
    process.kill()
    process.communicate()
    healed = handful.push("--order", order)
    assert healed.exit_code == 0, healed.stdout
    assert len(handful.in_crm(order)) == 1
    handful.push()
    handful.assert_in_sync()


def test_of_two_runs_the_second_is_refused_and_told_of_the_first(handful: Handful) -> None:
    one_by_one(handful, 0.3)
    handful.watch()
    first = handful.start("push")
    until(lambda: writes(handful) >= 1)
    requests = len(handful.crm.requests)
    second = handful.loader("push")
    assert (second.exit_code, second.error["code"]) == (7, "another_run_active")
    assert str(first.pid) in second.error["message"]
    assert {request.writes > 0 for request in handful.crm.requests[requests:]} <= {True}, "the second one was reading"
    result = ended(first)
    assert result.exit_code == 3, result.stdout
    handful.crm.faults.clear()
    handful.assert_in_sync()


def test_a_run_that_lost_its_lock_stops_writing(handful: Handful) -> None:
    """Its lease ended while the machine slept, and another run took over."""
    handful.settings.update(CRM_BATCH_SIZE="1", CRM_CONCURRENCY="1")
    sources = handful.sources
    with_journal(handful, losing_its_lock(3)[0])
    result = handful.push()
    assert (result.exit_code, result.error["code"]) == (7, "guard_tripped")
    assert writes(handful) == 2
    assert result.orders["failed"] == len(GOING) - 2
    handful.assert_adds_up(result)
    handful.sources = sources
    handful.execute("delete from main_journal.sync_lock")
    handful.push()
    handful.assert_in_sync()


LOST_AT = {
    "the first event": lambda sql: "sync_event" in sql and "insert" in sql,
    "the ids": lambda sql: "crm_xref" in sql and "insert" in sql,
    "the end": lambda sql: "finished_at = ?" in sql,
}


@pytest.mark.parametrize("point", LOST_AT)
def test_a_warehouse_that_is_lost_ends_the_run_and_the_next_one_heals(handful: Handful, point: str) -> None:
    """The connection goes while results are entered: orders are in CRM and not in the journal."""
    handful.settings.update(CRM_BATCH_SIZE="1", CRM_CONCURRENCY="1")
    sources = handful.sources

    class Lost(DuckDBWarehouse):
        def execute(self, sql: str, params: Sequence[object] = ()) -> int:
            if LOST_AT[point](sql):
                self._connection.close()
            return super().execute(sql, params)

    with_warehouse(handful, Lost)
    result = handful.push()
    assert result.exit_code == 5, result.stdout + result.stderr
    assert result.error["code"] == "warehouse_unavailable"
    handful.release()
    handful.sources = sources
    handful.assert_whole()
    handful.kill_lock()
    healed = handful.push()
    assert healed.exit_code == 3, healed.stdout
    assert healed.orders["failed"] == 0
    handful.assert_in_sync()
    known = {row[0] for row in handful.query("select record_key from main_journal.crm_xref")}
    assert known >= GOING
    assert handful.query("select record_key from main_journal.retry_queue where state = 'open'") == [(WITHOUT_PRODUCT,)]


def test_a_run_whose_process_is_gone_is_marked_as_died(handful: Handful) -> None:
    one_by_one(handful, 0.2)
    process = handful.start("push")
    until(lambda: writes(handful) >= 1)
    process.kill()
    process.communicate()
    handful.crm.faults.clear()
    handful.push("--order", NEW[0])
    status = json.loads(handful.loader("status").stdout)["data"]
    assert [run["outcome"] for run in status["runs"]] == ["ok", "died"]


def test_a_run_that_is_stopped_keeps_what_the_queue_says_of_orders_that_it_did_not_reach(handful: Handful) -> None:
    handful.push()
    assert handful.loader("retry", "hold", NEW[0]).exit_code == 0
    before = {row[0]: row for row in handful.query(QUEUE)}
    assert before[WITHOUT_PRODUCT][1:4] == ("product_not_found", "open", 1)
    assert before[NEW[0]][1:3] == ("held", "held")

    handful.crm.faults.latency(0.4)
    seen = len(handful.crm.requests)
    process = handful.start("push")
    until(lambda: len(handful.crm.requests) > seen)
    process.send_signal(signal.SIGTERM)
    result = ended(process)
    assert result.exit_code == 143, result.stdout + result.stderr
    staged = len(handful.staged()[0])
    assert (result.orders["skipped"], result.orders["failed"]) == (1, staged - 1)
    assert sum(result.orders.values()) == staged
    after = {row[0]: row for row in handful.query(QUEUE)}
    assert {key: after[key] for key in before} == before
    others = after.keys() - before.keys()
    assert len(others) == staged - 2
    assert {after[key][1:3] for key in others} == {("interrupted", "open")}


QUEUE = "select record_key, reason, state, attempts, message, first_failed_at from main_journal.retry_queue"


def test_a_run_that_died_is_known_at_once_by_what_it_had_done(handful: Handful) -> None:
    one_by_one(handful, 0.3)
    process = handful.start("push")
    until(lambda: writes(handful) >= 5)
    process.kill()
    process.communicate()
    (told,) = json.loads(handful.loader("status").stdout)["data"]["runs"]
    events = handful.query("select outcome, count(*) from main_journal.sync_event group by outcome")
    assert told["outcome"] == "died"
    assert told["counts"]["created"] + told["counts"]["updated"] >= 2
    assert dict(events) == {name: told["counts"][name] for name, _ in events}
    assert told["counts"]["lines_created"] > 0
    assert told["finished_at"]
    probed = handful.loader("status", "--max-age", "2h")
    assert (probed.exit_code, probed.data["problems"]) == (1, ["ended_badly"])

    handful.crm.faults.clear()
    handful.push("--order", NEW[0])
    (_, later) = json.loads(handful.loader("status").stdout)["data"]["runs"]
    assert (later["outcome"], later["counts"]) == ("died", told["counts"])
