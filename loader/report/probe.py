"""Is the integration well? The last push and the queue, judged for monitors."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from loader.context import Context
from loader.errors import UsageError
from loader.push.audits import latest_runs
from loader.report.words import counted, span
from loader.warehouse.journal import RunRecord

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_COMPLETE = ("ok", "blocked", "interrupted")
"""How a run ends that has counted every staged order."""
_LONGEST = dt.timedelta(days=36500)


@dataclass(frozen=True)
class MaxAge:
    """How long ago the last push may have ended."""

    text: str
    limit: dt.timedelta

    @classmethod
    def parse(cls, text: str) -> MaxAge:
        wanted = text.strip().lower()
        seconds = sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d{1,9})([smhdw])", wanted))
        if not re.fullmatch(r"(\d{1,9}[smhdw])+", wanted, re.ASCII) or not 0 < seconds <= _LONGEST.total_seconds():
            raise UsageError(f"--max-age {text!r} is not a duration.", "Give for example 90m, 2h, 1d or 1h30m.")
        return cls(wanted, dt.timedelta(seconds=seconds))


@dataclass(frozen=True)
class MaxBlocked:
    """How many orders may be blocked or failed, as a number or as percent of the staged ones."""

    text: str
    limit: Decimal
    percent: bool

    @classmethod
    def parse(cls, text: str) -> MaxBlocked:
        match = re.fullmatch(r"(\d{1,9})(?:(\.\d{1,6})?(%))?", text.strip(), re.ASCII)
        limit = Decimal(match[1] + (match[2] or "")) if match else Decimal(-1)
        if not match or (match[3] and limit > 100):
            raise UsageError(
                f"--max-blocked {text!r} is not a number or a percentage.", "Give for example 20, 5% or 0.5%."
            )
        return cls(text.strip(), limit, bool(match[3]))

    def allows(self, blocked: int, staged: int) -> bool:
        return blocked <= (staged * self.limit / 100 if self.percent else self.limit)


@dataclass(frozen=True)
class Verdict:
    """What the monitor is told. `text` is one line."""

    well: bool
    text: str
    content: dict[str, Any]

    def lines(self) -> Iterator[str]:
        yield self.text


def ahead(run: RunRecord, now: dt.datetime) -> dt.timedelta:
    """How long from now the run ends, by its own word."""
    return (run.finished_at or now) - now


def probe(
    context: Context,
    max_age: MaxAge | None,
    max_blocked: MaxBlocked | None,
    clock: Callable[[], dt.datetime] | None = None,
) -> Verdict:
    """Judges the latest finished push of all orders, and what waits in the queue now."""
    waiting = {table: states["open"] for table, states in context.journal.queue_counts_by_table().items()}
    now = (clock or context.journal.now)()
    contract = context.contract
    filled = dict.fromkeys(model.table for model in contract.models)
    told = contract.counted({table: waiting.get(table, 0) for table in filled}) if len(filled) > 1 else ""
    total, runs = sum(waiting.values()), latest_runs(context, 1000)
    verdict = judge(runs, max_age, max_blocked, now, total, contract.noun, contract.nouns, told)
    return replace(verdict, content={**verdict.content, "waiting_by_table": waiting})


def judge(
    runs: list[RunRecord],
    max_age: MaxAge | None,
    max_blocked: MaxBlocked | None,
    now: dt.datetime,
    waiting: int | None = None,
    noun: str = "order",
    nouns: str = "",
    by_table: str = "",
) -> Verdict:
    """Pure. `runs` are newest first; a run that is under way says nothing yet, nor does one of some orders.

    `waiting`: records that are open in the queue, whichever run found them blocked or failed; `by_table` says in words
    how many of each table.
    """
    last = next((each for each in runs if each.is_scheduled and each.finished_at), None)
    if last is None or last.finished_at is None:
        none = "NOT OK: no push has ended yet."
        figures = {"age_seconds": None, "staged": 0, "blocked": 0, "failed": 0, "waiting": waiting or 0}
        about = {"run_id": None, "outcome": None, "finished_at": None}
        return Verdict(False, none, {"well": False, "problems": ["no_run"], "message": none, **about, **figures})
    age = max(now - last.finished_at, dt.timedelta(0))
    counts = last.counts
    whole = next((each for each in runs if each.is_whole and each.outcome in _COMPLETE and each.counts.staged), last)
    trouble = counts.blocked + counts.failed if waiting is None else waiting
    staged = max(whole.counts.staged, trouble)
    share = f"{trouble} of {counted(staged, noun, nouns)} blocked or failed"
    share += f" ({by_table})" if by_table and trouble else ""
    problems: dict[str, str] = {}
    if last.ends_after(now):
        problems["ends_in_future"] = f"the last push ends {span(ahead(last, now))} from now: a clock is wrong"
    if max_age and age > max_age.limit:
        problems["too_old"] = f"the last push ended {span(age)} ago, more than {max_age.text}"
    if last.outcome not in ("ok", "blocked"):
        why = f" ({' '.join(last.message.split())})" if last.message else ""
        problems["ended_badly"] = f"the last push ended as {last.outcome}{why}"
    if max_blocked and not max_blocked.allows(trouble, staged):
        problems["too_many_blocked"] = f"{share}, more than {max_blocked.text}"
    run_name = f"run {last.run_id[:8]}"
    if problems:
        text = f"NOT OK: {'; '.join(problems.values())}; {run_name}."
    else:
        text = f"OK: the last push ended {span(age)} ago, {share}; {run_name}."
    content = {
        "well": not problems,
        "problems": list(problems),
        "message": text,
        "run_id": last.run_id,
        "outcome": last.outcome,
        "finished_at": last.finished_at,
        "age_seconds": int(age.total_seconds()),
        "staged": staged,
        "blocked": counts.blocked,
        "failed": counts.failed,
        "waiting": trouble,
    }
    return Verdict(not problems, text, content)
