"""How many requests are under way at once: as CRM advises, fewer when it complains, and back again."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from math import isfinite

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from emulator import Emulator, Limits
from loader.dataverse.auth import static_token
from loader.dataverse.batch import Query
from loader.dataverse.client import Client
from loader.dataverse.errors import retry_after
from loader.dataverse.pace import Interrupted, Pace, Patience, Stop


def test_it_starts_with_what_the_settings_allow() -> None:
    assert Pace(4).allowed == 4


@pytest.mark.parametrize(
    ("hint", "allowed"),
    [
        *[("2", 2), ("1", 1), ("16", 4), ("0", 4), ("", 4), ("many", 4), (None, 4)],
        *[("²", 4), ("٢", 4), ("2.0", 4), ("-2", 4), ("1" * 5000, 4), ("0" * 5000 + "2", 4), ("2\n", 4)],
    ],
)
def test_crms_hint_lowers_it_and_never_raises_it_above_the_settings(hint: str | None, allowed: int) -> None:
    pace = Pace(4)
    pace.advised(hint)
    assert pace.allowed == allowed


NOON = datetime(2027, 4, 12, 12, tzinfo=timezone.utc)


def _http_date(seconds: float) -> str:
    """So many seconds after noon."""
    return format_datetime(NOON + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize("text", ["7", "7.0", " 7 ", "0", "86400000"])
def test_seconds_to_wait_are_read(text: str) -> None:
    assert retry_after(text) == float(text)


@pytest.mark.parametrize(
    "text",
    [
        *[None, "", "soon", "nan", "inf", "-inf", "-1", "1e3", "0x10", "²", "٧", "1_0", "9" * 5000, "7 s"],
        *["Mon, 99 Foo 2027 00:00:00 GMT", "Mon, 01 Jan 99999999 00:00:00 GMT"],
    ],
)
def test_what_is_no_time_to_wait_is_ignored(text: str | None) -> None:
    assert retry_after(text) is None


@time_machine.travel(NOON, tick=False)
def test_a_date_is_waited_for() -> None:
    assert retry_after(_http_date(30)) == 30
    assert retry_after(_http_date(-30)) == 0


@time_machine.travel(NOON, tick=False)
def test_a_date_is_by_the_servers_clock_where_the_reply_tells_it() -> None:
    two_days_off = 2 * 86400
    assert retry_after(_http_date(two_days_off + 20), _http_date(two_days_off)) == 20
    assert retry_after(_http_date(20), "garbage") == 20


@given(text=st.text(max_size=30) | st.from_regex(r"[0-9.eE+-]{1,12}", fullmatch=True))
def test_no_header_is_too_strange_to_be_read(text: str) -> None:
    seconds = retry_after(text, text)
    assert seconds is None or (seconds >= 0 and isfinite(seconds))
    pace = Pace(4)
    pace.advised(text)
    assert 1 <= pace.allowed <= 4


class Noted(threading.Event):
    """Notes for how long it would have been waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout)
        return self.is_set()


def test_no_wait_is_longer_than_the_setting_allows() -> None:
    with Emulator() as crm:
        stop = Noted()
        client = Client(crm.url, static_token(crm.token), patience=Patience(stop, longest=60))
        crm.faults.throttle(2, retry_after=86400)
        assert client.get("WhoAmI")["UserId"]
        assert stop.waits == [60, 60]


def test_it_follows_a_hint_that_rises_again() -> None:
    pace = Pace(8)
    pace.advised("2")
    pace.advised("6")
    assert pace.allowed == 2
    for _ in range(30):
        pace.succeeded()
    assert pace.allowed == 6


def test_429_halves_it_but_one_request_may_always_go() -> None:
    pace = Pace(8)
    seen = []
    for _ in range(5):
        pace.throttled()
        seen.append(pace.allowed)
    assert seen == [4, 2, 1, 1, 1]


def test_it_recovers_by_one_for_each_round_of_successes() -> None:
    pace = Pace(8)
    pace.throttled()
    for _ in range(4):
        pace.succeeded()
    assert pace.allowed == 4
    pace.succeeded()
    assert pace.allowed == 5
    for _ in range(100):
        pace.succeeded()
    assert pace.allowed == 8


def test_no_more_pass_the_gate_than_allowed() -> None:
    pace = Pace(3)
    inside, most, lock = 0, 0, threading.Lock()
    meeting = threading.Barrier(3, timeout=10)

    def pass_through(number: int) -> None:
        nonlocal inside, most
        with pace.slot():
            with lock:
                inside += 1
                most = max(most, inside)
            if number < 3:
                meeting.wait()  # the gate lets three in at once, or this times out
            with lock:
                inside -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(pass_through, range(20)))
    assert most == 3


def test_a_failing_request_gives_its_place_back() -> None:
    pace = Pace(1)
    with pytest.raises(RuntimeError), pace.slot():
        raise RuntimeError
    with pace.slot():
        pass


def read(crm: Emulator, client: Client, times: int, threads: int) -> None:
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda _: client.query([Query("organizations?$select=name")]), range(times)))


@pytest.mark.parametrize(("hint", "most"), [(1, 1), (2, 2), (50, 6)])
def test_requests_at_once_follow_the_reply_header(hint: int, most: int) -> None:
    with Emulator(dop_hint=hint) as crm:
        client = Client(crm.url, static_token(crm.token), concurrency=6)
        client.get("WhoAmI")
        crm.reset_log()
        crm.faults.latency(0.05)
        read(crm, client, times=max(12, 4 * most), threads=12)
        assert crm.most_in_flight == most


@dataclass(frozen=True)
class Hurried(Patience):
    """Notes the waits instead of waiting."""

    waits: list[float] = field(default_factory=list)

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)


def test_a_throttled_client_waits_as_told_and_goes_on_with_fewer() -> None:
    with Emulator() as crm:
        patience = Hurried()
        client = Client(crm.url, static_token(crm.token), concurrency=8, patience=patience)
        crm.faults.throttle(2, retry_after=7)
        client.get("WhoAmI")
        assert patience.waits == [7, 7]
        assert client.pace.allowed == 2
        crm.reset_log()
        crm.faults.latency(0.05)
        read(crm, client, times=2, threads=8)
        assert crm.most_in_flight <= 2


def test_a_limit_of_concurrent_requests_is_outlasted() -> None:
    with Emulator(limits=Limits(requests=None, execution_seconds=None, concurrent=3, dop_hint=None)) as crm:
        client = Client(crm.url, static_token(crm.token), concurrency=4, patience=Hurried())
        crm.faults.latency(0.02)
        read(crm, client, times=40, threads=8)
        assert sum(request.status == 200 for request in crm.requests) == 40


SIGNALS_WHILE_IT_WAITS = """
import signal
from loader.dataverse.pace import Stop

signal.signal(signal.SIGALRM, lambda number, frame: stop.set())
for number in range(3_000):
    stop = Stop()
    signal.setitimer(signal.ITIMER_REAL, 0.00002 + number % 50 * 0.000002)
    while not stop.is_set():
        stop.wait(0.000001)
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers that send signals")
def test_a_signal_stops_a_run_at_whatever_moment_of_its_waiting() -> None:
    subprocess.run([sys.executable, "-c", SIGNALS_WHILE_IT_WAITS], check=True, timeout=60)


def test_a_wait_ends_when_the_run_is_stopped_and_at_its_end() -> None:
    stop = Stop()
    assert not stop.wait(0.001)
    threading.Timer(0.01, stop.set).start()
    assert stop.wait()
    with pytest.raises(Interrupted):
        Patience(stop).wait(60)
