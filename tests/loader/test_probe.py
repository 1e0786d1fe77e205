"""`loader status --max-age --max-blocked`: what a monitor is told."""

from __future__ import annotations

import datetime as dt

import pytest

from loader.errors import UsageError
from loader.report.probe import MaxAge, MaxBlocked, judge
from loader.report.words import span
from loader.warehouse.journal import RunCounts, RunRecord
from tests.conftest import Workbench

NOW = dt.datetime(2024, 3, 10, 7)
TWO_HOURS = MaxAge.parse("2h")


def run(
    minutes_ago: float = 30,
    outcome: str = "ok",
    command: str = "push",
    message: str | None = None,
    staged: int = 100,
    blocked: int = 0,
    failed: int = 0,
) -> RunRecord:
    """A run that ended so long ago."""
    finished_at = NOW - dt.timedelta(minutes=minutes_ago)
    return RunRecord(
        run_id="3f2a9c00-0000-4000-8000-000000000000",
        command=command,
        crm_url="https://contoso.crm.dynamics.com",
        started_at=finished_at - dt.timedelta(minutes=5),
        finished_at=None if outcome == "running" else finished_at,
        outcome=outcome,
        counts=RunCounts(staged=staged, unchanged=staged - blocked - failed, blocked=blocked, failed=failed),
        message=message,
        host="sql01",
        pid=1,
        version="0.1.0",
    )


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("90m", 90), ("2h", 120), ("1d", 1440), ("1h30m", 90), (" 2H ", 120), ("120s", 2), ("1w", 10080)],
)
def test_durations(text: str, minutes: int) -> None:
    assert MaxAge.parse(text).limit == dt.timedelta(minutes=minutes)


@pytest.mark.parametrize(
    "text", ["", "2", "h", "-1h", "0h", "2x", "1.5h", "2h!", "2 hours", "99999999999d", "٢h", "9" * 5000 + "s"]
)
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--max-age"):
        MaxAge.parse(text)


@pytest.mark.parametrize(
    ("text", "blocked", "allowed"),
    [
        ("5%", 5, True),
        ("5%", 6, False),
        ("0.5%", 0, True),
        ("0.5%", 1, False),
        ("0%", 0, True),
        ("100%", 100, True),
        ("7", 7, True),
        ("7", 8, False),
        ("0", 1, False),
    ],
)
def test_shares_and_counts_of_a_hundred_orders(text: str, blocked: int, allowed: bool) -> None:
    assert MaxBlocked.parse(text).allows(blocked, 100) is allowed


@pytest.mark.parametrize("text", ["", "%", "-1", "101%", "5 %%", "1.5", "five", "1e2", "5%5", "9" * 5000])
def test_other_limits_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--max-blocked"):
        MaxBlocked.parse(text)


def test_all_is_well_after_a_recent_push() -> None:
    verdict = judge([run(30, "blocked", blocked=5)], TWO_HOURS, MaxBlocked.parse("5%"), NOW)
    assert verdict.well
    assert verdict.text == "OK: the last push ended 30 min ago, 5 of 100 orders blocked or failed; run 3f2a9c00."


@pytest.mark.parametrize(
    ("runs", "problem"),
    [
        ([], "no_run"),
        ([run(outcome="running")], "no_run"),
        ([run(121)], "too_old"),
        ([run(5, command="retry now"), run(121)], "too_old"),
        ([run(5, command="push --order"), run(121)], "too_old"),
        ([run(5, command="undo"), run(121)], "too_old"),
        ([run(0, "running"), run(121)], "too_old"),
        ([run(outcome="error", message="CRM cannot be reached.\nTwice.")], "ended_badly"),
        ([run(outcome="interrupted")], "ended_badly"),
        ([run(outcome="died")], "ended_badly"),
        ([run(outcome="blocked", blocked=3, failed=3)], "too_many_blocked"),
    ],
)
def test_trouble_is_one_line(runs: list[RunRecord], problem: str) -> None:
    verdict = judge(runs, TWO_HOURS, MaxBlocked.parse("5%"), NOW)
    assert not verdict.well
    assert verdict.content["problems"] == [problem]
    assert verdict.text.startswith("NOT OK: ")
    assert "\n" not in verdict.text
    assert verdict.content.keys() == judge([run()], None, None, NOW).content.keys()


def test_all_troubles_are_named() -> None:
    verdict = judge([run(600, "error", message="No.", blocked=50)], MaxAge.parse("1h30m"), MaxBlocked.parse("10"), NOW)
    assert verdict.text == (
        "NOT OK: the last push ended 10 h ago, more than 1h30m; the last push ended as error (No.); "
        "50 of 100 orders blocked or failed, more than 10; run 3f2a9c00."
    )


@pytest.mark.parametrize("later", [run(0, "running"), run(1, command="retry now", staged=5, blocked=5)])
def test_a_run_under_way_or_of_some_orders_changes_nothing(later: RunRecord) -> None:
    assert judge([later, run(10)], TWO_HOURS, MaxBlocked.parse("5%"), NOW).well


def test_an_error_is_never_well_whatever_is_asked() -> None:
    assert not judge([run(outcome="error")], TWO_HOURS, None, NOW).well
    assert not judge([run(outcome="error")], None, MaxBlocked.parse("100%"), NOW).well


def test_no_staged_orders_are_no_trouble() -> None:
    assert judge([run(staged=0)], TWO_HOURS, MaxBlocked.parse("0%"), NOW).well


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3600, "1 h"),
        (18_600, "5 h 10 min"),
        (86_400, "1 d"),
        (277_200, "3 d 5 h"),
    ],
)
def test_spans_are_told_by_their_largest_units(seconds: int, text: str) -> None:
    assert span(dt.timedelta(seconds=seconds)) == text


def test_the_probe_from_the_command_line(bench: Workbench) -> None:
    before = bench.loader("status", "--max-age", "2h", json_output=False)
    assert (before.exit_code, before.stdout) == (1, "NOT OK: no push has ended yet.\n")
    bench.loader("push")
    bench.loader("retry", "now")
    well = bench.loader("status", "--max-age", "2h", "--max-blocked", "15%", json_output=False)
    assert (well.exit_code, well.stdout.count("\n"), well.stderr) == (0, 1, "")
    assert "17 of 119 orders blocked or failed" in well.stdout
    unwell = bench.loader("status", "--max-blocked", "14%")
    assert (unwell.exit_code, unwell.envelope["success"]) == (1, False)
    assert unwell.data["problems"] == ["too_many_blocked"]
    bench.execute("update main_journal.sync_run set finished_at = finished_at - interval 3 hour where command = 'push'")
    assert bench.loader("status", "--max-age", "2h").data["problems"] == ["too_old"]


@pytest.mark.parametrize(
    "flags", [("--max-age", "2x"), ("--max-blocked", "-5%"), ("--max-age", ""), ("--max-age", "2h", "--run", "3f2a")]
)
def test_wrong_flags_are_usage_errors(bench: Workbench, flags: tuple[str, ...]) -> None:
    ended = bench.loader("status", *flags)
    assert (ended.exit_code, ended.error["code"]) == (2, "usage")


def test_a_push_of_named_orders_is_journalled_as_such(bench: Workbench) -> None:
    bench.loader("push", "--order", "ORDST2226")
    assert bench.query("select command from main_journal.sync_run") == [("push --order",)]
    assert bench.loader("status", "--max-age", "2h").data["problems"] == ["no_run"]
