"""Two processes, one warehouse: a run that stalled until another one took its lock over writes nothing more.

On SQL Server nothing but the loader's own lock keeps runs apart; shared_warehouse.py stands in for it here.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from tests.conftest import PROJECT, Ended, Workbench
from tests.promises.conftest import IN_CRM, NEW, WITHOUT_PRODUCT, Handful, known_target
from tests.promises.shared_warehouse import LEASE, Server


@pytest.fixture
def server(handful: Handful) -> Iterator[Server]:
    """This process and those that it starts go to one warehouse."""
    handful.release()
    server = Server(known_target(PROJECT, None, None, handful.environ))
    handful.sources = replace(handful.sources, warehouse=lambda *_: server.connect())
    yield server
    handful.release()
    server.close()


@contextmanager
def started(bench: Workbench, port: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A push by another process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.promises.shared_warehouse", port, *arguments, "--json"],
        cwd=PROJECT,
        env={**bench.environ, "PYTHONPATH": str(PROJECT), "CRM_BATCH_SIZE": "1", "CRM_CONCURRENCY": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.01)


def writes(bench: Workbench) -> int:
    return sum(request.writes > 0 for request in bench.crm.requests)


def stall(process: subprocess.Popen[str], busy: Callable[[], bool]) -> None:
    """The machine sleeps until the lease is over; not within a statement, which would only hold the others up."""
    while True:
        process.send_signal(signal.SIGSTOP)
        if not busy():
            break
        process.send_signal(signal.SIGCONT)
        time.sleep(0.02)
    time.sleep(LEASE + 0.5)


def wake(process: subprocess.Popen[str]) -> Ended:
    process.send_signal(signal.SIGCONT)
    stdout, stderr = process.communicate(timeout=120)
    return Ended(process.returncode, stdout, stderr)


def assert_stopped(ended: Ended) -> None:
    assert ended.exit_code == 7, ended.stdout + ended.stderr
    assert ended.error["code"] == "guard_tripped"
    assert "was lost" in ended.error["message"]
    assert "Traceback" not in ended.stderr


def test_the_lock_keeps_two_processes_apart(handful: Handful, server: Server) -> None:
    handful.crm.faults.delay_before_commit(1.0, times=None, kind="write")
    with started(handful, str(server.address[1]), "push") as first:
        until(lambda: writes(handful))
        second = handful.loader("push")
        assert (second.exit_code, second.error["code"]) == (7, "another_run_active")
        assert str(first.pid) in second.error["message"]


def test_a_stalled_run_whose_write_comes_too_late_does_not_overwrite_with_what_it_had_read(
    handful: Handful, server: Server
) -> None:
    """CRM has its request; GP changes, another run writes that, and only then the request is refused (412)."""
    order = IN_CRM[0]
    handful.crm.faults.delay_before_commit(10, times=1, kind="write")
    with started(handful, str(server.address[1]), "push", "--order", order) as stalled:
        until(lambda: writes(handful) == 1)
        stall(stalled, server.busy)
        handful.edit(order)
        newer = handful.loader("push", "--order", order)
        assert newer.orders["updated"] == 1, newer.stdout
        assert handful.crm.in_flight, "the request was to be still under way"
        handful.assert_crm_holds_what_is_staged(*(set(IN_CRM) | set(NEW)) - {order})
        until(lambda: not handful.crm.in_flight)
        written = writes(handful)
        ended = wake(stalled)
    assert_stopped(ended)
    assert writes(handful) == written
    handful.assert_crm_holds_what_is_staged(*(set(IN_CRM) | set(NEW)) - {order})
    assert handful.query("select outcome from main_journal.sync_run order by run_no") == [("error",), ("ok",)]
    assert handful.query("select count(*) from main_journal.retry_queue") == [(0,)], "CRM has it as GP has"
    last = "select outcome, reason from main_journal.sync_event order by happened_at desc, event_no desc limit 1"
    assert handful.query(last) == [("updated", None)]


def test_what_a_stalled_run_had_queued_is_not_sent_any_more(handful: Handful, server: Server) -> None:
    handful.crm.faults.delay_before_commit(0.5, times=None, kind="write")
    with started(handful, str(server.address[1]), "push") as stalled:
        until(lambda: writes(handful) >= 2)
        stall(stalled, server.busy)
        until(lambda: not handful.crm.in_flight)
        handful.crm.faults.clear()
        for order in (*NEW, *IN_CRM):
            handful.edit(order)
        other = handful.loader("push")
        assert other.exit_code == 3, other.stdout
        written, queue = writes(handful), handful.query("select * from main_journal.retry_queue")
        ended = wake(stalled)
    assert_stopped(ended)
    assert writes(handful) == written
    handful.assert_crm_holds_what_is_staged()
    assert handful.query("select * from main_journal.retry_queue") == queue
    told = handful.loader("status").data
    assert [run["outcome"] for run in told["runs"]] == ["blocked", "error"]
    assert told["queue"] == {"open": 1, "held": 0, "ignored": 0}
    assert [entry["key"] for entry in handful.loader("retry", "list").data["queue"]] == [WITHOUT_PRODUCT]
