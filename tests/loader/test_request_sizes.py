"""As many orders in a request as fit; the last ones are spread over the workers, so that none waits for another."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from loader.dataverse.batch import ChangeSet, Operation, Reply
from loader.dataverse.pace import Pace
from loader.push.sender import SHARE, Pusher, Settled
from loader.sync.plan import RecordPlan
from loader.sync.records import Staged

PER_ORDER = 10


class Crm:
    """Notes the size of every request."""

    def __init__(self, workers: int) -> None:
        self.pace = Pace(workers)
        self.sizes: list[int] = []
        self._lock = threading.Lock()

    def apply(self, change_sets: Sequence[ChangeSet]) -> list[list[Reply]]:
        with self._lock:
            self.sizes.append(sum(map(len, change_sets)))
        return [[Reply(204, {}, b"")] * len(each) for each in change_sets]


def order(number: int, operations: int = PER_ORDER) -> tuple[Staged, RecordPlan]:
    writes = ChangeSet((Operation("PATCH", f"salesorders({number})", {}),) * operations)
    return Staged(str(number), {}), RecordPlan(str(number), "salesorder", "update", build=lambda: writes)


def push(crm: Crm, orders: Sequence[tuple[Staged, RecordPlan]], workers: int = 4, **settings: Any) -> list[Settled]:
    settled: list[Settled] = []

    def chunks() -> Iterator[Sequence[tuple[Staged, RecordPlan]]]:
        for start in range(0, len(orders), 500):
            yield orders[start : start + 500]

    Pusher(SimpleNamespace(client=crm), settled.extend, concurrency=workers, **settings).run(chunks())  # type: ignore[arg-type]
    assert sorted(int(each.plan.key) for each in settled) == sorted(int(plan.key) for _, plan in orders)
    assert {each.outcome for each in settled} <= {"updated"}
    return settled


def test_a_long_run_fills_its_requests() -> None:
    crm = Crm(workers=4)
    push(crm, [order(n) for n in range(5_000)])
    full = [size for size in crm.sizes if size == 1000]
    assert len(full) >= 45
    assert len(crm.sizes) <= 50 + 10
    assert max(crm.sizes) == 1000


def test_what_is_little_goes_in_one_request() -> None:
    crm = Crm(workers=4)
    push(crm, [order(n) for n in range(SHARE // PER_ORDER)])
    assert crm.sizes == [SHARE]


@pytest.mark.parametrize("orders", [100, 137, 300, 500, 1_300])
def test_the_last_orders_are_spread_so_that_no_worker_waits_for_another(orders: int) -> None:
    crm = Crm(workers=4)
    push(crm, [order(n) for n in range(orders)])
    busy = [0] * 4
    for size in crm.sizes:
        busy[busy.index(min(busy))] += size
    assert max(busy) <= 1.25 * orders * PER_ORDER / 4 + PER_ORDER
    assert len(crm.sizes) <= orders * PER_ORDER / 1000 + 10


def test_sizes_follow_what_crm_allows_at_once() -> None:
    crm = Crm(workers=8)
    crm.pace.advised("2")
    push(crm, [order(n) for n in range(100)], workers=8)
    assert crm.sizes[0] == 500


def test_an_order_that_needs_more_goes_alone() -> None:
    crm = Crm(workers=2)
    push(crm, [order(0, 30), order(1, 5), order(2, 30)], workers=2, batch_size=20)
    assert sorted(crm.sizes) == [5, 30, 30]


@pytest.mark.parametrize("batch_size", [1, 15, 100])
def test_no_request_is_larger_than_the_setting(batch_size: int) -> None:
    crm = Crm(workers=3)
    push(crm, [order(n, operations=1 + n % 9) for n in range(200)], workers=3, batch_size=batch_size)
    assert max(crm.sizes) <= max(batch_size, 9)
