"""One run at a time, and none blocked by a dead one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from loader.errors import AnotherRunActive, GuardTripped
from loader.warehouse.connect import connect
from loader.warehouse.connection import Warehouse
from loader.warehouse.journal import Equal, Journal, RecordResult, RunCounts, RunStart, process_exists, this_host
from tests.warehouse.warehouse_places import Place, StoppedClock, duckdb_target

Begin = Callable[..., RunStart]


@pytest.fixture
def other(place: Place, journal: Journal, clock: StoppedClock) -> Journal:
    """Another run's journal, on a connection of its own."""
    return Journal(place.connect(), place.tables, clock)


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_second_run_is_told_who_holds_the_lock(journal: Journal, other: Journal, begin: Begin) -> None:
    journal.acquire(begin("first"))
    with pytest.raises(AnotherRunActive) as refused:
        other.acquire(begin("second"))
    for part in ("first", str(os.getpid()), socket.gethostname(), "2026-03-01 07:00:00"):
        assert part in refused.value.message
    assert refused.value.exit_code == 7


def test_a_released_lock_is_free(journal: Journal, other: Journal, begin: Begin) -> None:
    journal.acquire(begin("first"))
    journal.release()
    other.acquire(begin("second"))


def test_an_expired_lease_is_taken_over_and_its_run_marked_died(
    journal: Journal, other: Journal, begin: Begin, clock: StoppedClock
) -> None:
    first = begin("first", host="elsewhere", pid=1)
    journal.acquire(first, lease_seconds=120)
    journal.start(first)
    clock.forward(seconds=119)
    with pytest.raises(AnotherRunActive):
        other.acquire(begin("second"))
    clock.forward(seconds=1)
    other.acquire(begin("second"))
    died = other.run("first")
    assert (died.outcome, died.finished_at) == ("died", clock.now)
    assert "second" in (died.message or "")


def test_a_run_whose_process_on_this_machine_is_gone_is_taken_over_at_once(
    journal: Journal, other: Journal, begin: Begin
) -> None:
    journal.acquire(begin("first", pid=dead_pid()))
    other.acquire(begin("second"))


def test_a_process_number_of_another_machine_says_nothing(journal: Journal, other: Journal, begin: Begin) -> None:
    journal.acquire(begin("first", host="elsewhere", pid=dead_pid()))
    with pytest.raises(AnotherRunActive):
        other.acquire(begin("second"))


def test_a_finished_run_keeps_its_outcome_when_its_lock_is_taken_over(
    journal: Journal, other: Journal, begin: Begin, clock: StoppedClock
) -> None:
    journal.acquire(begin("first"))
    journal.start(begin("first"))
    journal.finish("first", RunCounts(), "ok")
    clock.forward(seconds=300)
    other.acquire(begin("second"))
    assert other.run("first").outcome == "ok"


def test_a_renewed_lease_lasts(journal: Journal, other: Journal, begin: Begin, clock: StoppedClock) -> None:
    journal.acquire(begin("first"), lease_seconds=120)
    for _ in range(5):
        clock.forward(seconds=100)
        journal.renew()
    with pytest.raises(AnotherRunActive):
        other.acquire(begin("second"))


def test_a_run_that_slept_through_its_lease_writes_no_more(
    journal: Journal, other: Journal, begin: Begin, clock: StoppedClock
) -> None:
    journal.acquire(begin("first"), lease_seconds=120)
    journal.ensure_held()
    clock.forward(hours=8)
    other.acquire(begin("second"))
    with pytest.raises(GuardTripped, match="first"):
        journal.ensure_held()
    with pytest.raises(GuardTripped):
        journal.ensure_held()
    journal.release()
    other.ensure_held()


def test_a_run_that_does_not_know_that_its_lock_was_taken_over_leaves_what_the_other_run_entered(
    journal: Journal, other: Journal, begin: Begin, clock: StoppedClock
) -> None:
    """It writes nothing to CRM, so that nothing has told it."""
    id_ = "6b7d8e1a-5a43-4b4e-9a0f-1f2c3d4e5f60"
    warned = RecordResult("ORDST2225", "salesorder", id_, "update", "updated", pushed=True, warnings=[{"code": "x"}])
    seen_before = RecordResult("ORDST2225", "salesorder", id_, "unchanged", "unchanged", equal=Equal.of("abc", []))
    journal.acquire(begin("first"), lease_seconds=120)
    journal.start(begin("first"))
    clock.forward(hours=8)
    other.acquire(begin("second"))
    other.start(begin("second"))
    other.record([warned], "second")
    journal.record([seen_before], "first")
    assert other.noted_keys("salesorder", {"ordst2225"}) == {"ordst2225"}
    assert other.known_keys("salesorder", {"ordst2225"}) == {"ordst2225": None}
    assert [event.run_id for event in other.events()] == ["second"]


def test_a_run_that_slept_alone_goes_on(journal: Journal, begin: Begin, clock: StoppedClock) -> None:
    journal.acquire(begin("first"), lease_seconds=120)
    clock.forward(hours=8)
    journal.ensure_held()


def test_the_lease_is_renewed_while_the_lock_is_held(place: Place, warehouse: Warehouse, begin: Begin) -> None:
    clock = StoppedClock()
    journal = Journal(warehouse, place.tables, clock)
    journal.prepare()
    expires = f"select expires_at from {place.tables['sync_lock'].relation}"
    with journal.holding(begin(), lease_seconds=1):
        before = warehouse.query(expires)
        clock.forward(seconds=1)
        until = time.monotonic() + 10
        while warehouse.query(expires) == before and time.monotonic() < until:
            time.sleep(0.05)
        assert warehouse.query(expires) != before
    assert warehouse.query(expires) == []


def test_the_lock_is_given_back_when_the_run_fails(journal: Journal, other: Journal, begin: Begin) -> None:
    with pytest.raises(RuntimeError), journal.holding(begin("first")):
        raise RuntimeError("CRM is down")
    other.acquire(begin("second"))


def test_of_many_that_try_at_once_one_gets_the_lock(
    place: Place, journal: Journal, begin: Begin, clock: StoppedClock
) -> None:
    journals = [Journal(place.connect(), place.tables, clock) for _ in range(6)]
    gate = threading.Barrier(len(journals))
    got: list[str] = []
    refused: list[Exception] = []

    def contend(number: int) -> None:
        gate.wait()
        try:
            journals[number].acquire(begin(f"run-{number}"))
            got.append(f"run-{number}")
        except AnotherRunActive as error:
            refused.append(error)

    threads = [threading.Thread(target=contend, args=[number]) for number in range(len(journals))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), len(refused)) == (1, 5)
    assert all(got[0] in str(error) for error in refused)


# ---------------------------------------------------------------------------------------------------- other processes

HOLDER = """
    import sys, time
    from pathlib import Path
    sys.path.insert(0, sys.argv[1])
    from tests.warehouse.warehouse_places import duckdb_target, journal_tables
    from loader.warehouse.connect import connect
    from loader.warehouse.journal import Journal, RunStart

    target = duckdb_target(Path(sys.argv[2]))
    journal = Journal(connect(target, for_run=True, create=True), journal_tables("duckdb", "warehouse", "j"))
    journal.prepare()
    run = RunStart.now("push", "https://contoso.crm.dynamics.com", "0.1.0")
    journal.acquire(run)
    journal.start(run)
    print(run.run_id, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDER), str(Path(__file__).parents[2]), str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process
    process.kill()
    process.communicate()


def test_a_push_beside_another_process_names_it(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    assert holder.stdout is not None
    holder.stdout.readline()
    with pytest.raises(AnotherRunActive, match=f"process {holder.pid} "):
        connect(duckdb_target(tmp_path), for_run=True, lock_wait=0.2)


def test_a_killed_process_leaves_a_lock_that_the_next_run_takes_over_at_once(
    holder: subprocess.Popen[str], tmp_path: Path, begin: Begin
) -> None:
    from tests.warehouse.warehouse_places import journal_tables

    assert holder.stdout is not None
    killed = holder.stdout.readline().strip()
    holder.kill()
    holder.wait()
    journal = Journal(connect(duckdb_target(tmp_path), for_run=True), journal_tables("duckdb", "warehouse", "j"))
    journal.prepare()
    journal.acquire(begin("next"))
    assert journal.run(killed).outcome == "died"


def test_a_running_process_exists_and_a_finished_one_does_not() -> None:
    assert process_exists(os.getpid())
    assert not process_exists(dead_pid())


def test_this_host_fits_its_column() -> None:
    assert socket.gethostname()[:100] in this_host()
    assert len(this_host()) <= 128
