"""The chart's geometry."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise
from typing import Any

import pytest

from loader.report.chart import Chart, chart, description, ticks

START = dt.datetime(2024, 3, 1, 6)


def run(number: int = 0, outcome: str = "ok", hours: int = 24, **counts: int) -> dict[str, Any]:
    started_at = START + dt.timedelta(hours=hours * number)
    zero = dict.fromkeys(("created", "updated", "blocked", "failed"), 0)
    return {"command": "push", "outcome": outcome, "started_at": started_at, **zero, **counts}


def drawn(*runs: dict[str, Any], width: float = 760) -> Chart:
    return chart(list(reversed(runs)), width, 340)


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (0, [0, 1]),
        (1, [0, 1]),
        (3, [0, 1, 2, 3]),
        (5, [0, 2, 4, 6]),
        (17, [0, 5, 10, 15, 20]),
        (87, [0, 50, 100]),
        (12345, [0, 5000, 10000, 15000]),
    ],
)
def test_the_scale_has_few_round_numbers_and_holds_the_largest(most: int, expected: list[int]) -> None:
    assert list(ticks(most)) == expected


@pytest.mark.parametrize("most", [0, 1, 2, 7, 99, 100, 101, 999_999_999])
def test_the_scale_never_has_more_than_five_lines(most: int) -> None:
    found = list(ticks(most))
    assert len(found) <= 5
    assert found[-1] >= most


@pytest.mark.parametrize("width", [760, 344])
@pytest.mark.parametrize("number", [1, 2, 30, 1000])
def test_everything_is_within_the_drawing(number: int, width: float) -> None:
    found = drawn(*(run(n, created=n % 7, updated=n, blocked=1, failed=n % 3) for n in range(number)), width=width)
    for panel in found.panels:
        for bar in panel.bars:
            assert bar.x >= found.left
            assert bar.x + bar.width <= found.right + 0.01
            assert bar.y >= panel.top - 2.1
            assert bar.y + bar.height <= panel.base + 0.01
    assert len(found.slots) == number
    labelled = [slot.centre for slot in found.slots if slot.label]
    assert all(right - left >= 40 for left, right in pairwise(labelled))


def test_the_latest_run_is_on_the_right() -> None:
    found = drawn(run(0, created=1), run(1, created=5))
    first, second = found.panels[0].bars
    assert first.x < second.x
    assert first.height < second.height


def test_one_order_beside_a_hundred_thousand_is_still_seen() -> None:
    found = drawn(run(0, created=100_000), run(1, created=1))
    assert found.panels[0].bars[1].height >= 2


def test_runs_of_one_day_are_told_apart_by_the_time() -> None:
    assert [slot.label for slot in drawn(run(0, hours=2), run(1, hours=2)).slots] == ["06:00", "08:00"]
    assert [slot.label for slot in drawn(run(0), run(1)).slots] == ["03-01", "03-02"]


def test_runs_that_ended_early_are_marked() -> None:
    found = drawn(*(run(n, outcome) for n, outcome in enumerate(("ok", "blocked", "error", "died", "interrupted"))))
    assert [slot.is_bad for slot in found.slots] == [False, False, True, True, True]


def test_the_text_alternative_tells_the_latest_the_most_and_the_bad() -> None:
    text = description([run(1, "error", failed=2), run(0, created=3)])
    assert text == (
        "2 runs in 1 d. The latest, 2024-03-02 06:00 UTC, push, error: 2 failed. Most created: 3, 2024-03-01 06:00. "
        "Most failed: 2, 2024-03-02 06:00. 1 run did not end well."
    )
