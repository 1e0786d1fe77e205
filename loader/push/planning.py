"""What a push would do: every order planned, counted by outcome; plan files on disk. CRM is only read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from loader.errors import ChangesPlanned, LoaderError, RecordsWaiting, UsageError
from loader.files import open_private
from loader.push.session import open_session, plans
from loader.run import Progress, Run
from loader.sync.plan import OrderPlan
from loader.sync.plan_file import PlanFile, parse_plan_file, plan_file_text

_COUNTED = {"create": "create", "update": "update", "unchanged": "unchanged", "skip": "skipped", "block": "blocked"}


@dataclass
class PlanReport:
    """All orders planned, by outcome."""

    orders: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_COUNTED.values(), 0))
    lines: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("create", "update", "delete"), 0))
    requests: dict[str, int] = field(default_factory=lambda: {"read": 0, "write": 0})
    reasons: Counter[str] = field(default_factory=Counter)
    """How many orders each reason sets apart."""
    warnings: Counter[str] = field(default_factory=Counter)
    """How many orders have each warning."""

    def add(self, plan: OrderPlan) -> None:
        self.orders[_COUNTED[plan.action]] += 1
        self.reasons.update([plan.reason] if plan.reason else [])
        self.warnings.update({warning.code for warning in plan.warnings})
        for action in self.lines:
            self.lines[action] += plan.count_lines(action)

    @property
    def verdict(self) -> LoaderError | None:
        """What --detailed-exitcode tells."""
        changes, blocked = self.orders["create"] + self.orders["update"], self.orders["blocked"]
        if changes:
            return ChangesPlanned(f"{changes} orders would be created or updated.")
        if blocked:
            remedy = "`loader plan` says of each what it waits for."
            return RecordsWaiting(f"Nothing to change, but {blocked} orders are blocked.", remedy)
        return None

    def as_json(self) -> dict[str, Any]:
        return {
            "orders": self.orders,
            "lines": self.lines,
            "requests": self.requests,
            "reasons": dict(sorted(self.reasons.items())),
            "warnings": dict(sorted(self.warnings.items())),
        }


def plan(
    run: Run,
    only: Sequence[str] = (),
    progress: Progress = lambda done, total: None,
    tell: Callable[[OrderPlan], None] = lambda plan: None,
) -> PlanReport:
    """Plans every staged order, or those named. Reads only. `tell` gets those that there is something to say of."""
    report = PlanReport()
    for each in planned(run, only, progress):
        report.add(each)
        if each.action != "unchanged" or each.warnings:
            tell(each)
    report.requests = run.requests
    return report


def planned(run: Run, only: Sequence[str], progress: Progress) -> Iterator[OrderPlan]:
    for model in run.contract.models:
        staged = run.stage(model, only or None)
        staged.require(only)
        run.refuse_other_crm()
        session = open_session(run, staged)
        done = 0
        for chunk in plans(session, staged.orders(), run.settings.concurrency, run.stop):
            for _, each in chunk:
                yield each
            done += len(chunk)
            progress(done, len(staged.keys))


def write_plan_file(path: Path, entries: Iterable[str], crm_url: str, *, whole: bool) -> None:
    """Saves the orders that a push is to write, each a `plan_file_entry` in JSON. Raises UsageError."""
    created_at = datetime.now(timezone.utc).isoformat(timespec="seconds")
    try:
        with open_private(path) as file:
            file.writelines(plan_file_text(entries, crm_url, created_at, whole=whole))
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", "Name another file with --out.") from None


def read_plan_file(path: Path, crm_url: str) -> PlanFile:
    """Raises UsageError for a file that is not a plan, or one made for another CRM."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}", "Name a file that `loader plan --out` wrote."
        ) from None
    except UnicodeDecodeError:
        text = ""
    return parse_plan_file(text, path, crm_url)
