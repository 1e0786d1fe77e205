"""`loader plan`: what a push would do, and plan files that a push applies exactly."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from loader.errors import ChangesPlanned, LoaderError, RecordsWaiting, UsageError
from loader.files import open_private
from loader.run import Run
from loader.sync.lookups import match_key
from loader.sync.plan import OrderPlan
from loader.sync.push import plans

PLAN_FILE_VERSION = 1
_ENTRY = {"order", "digest", "etag", "share_with"}

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
    progress: Callable[[int, int], None] = lambda done, total: None,
    tell: Callable[[OrderPlan], None] = lambda plan: None,
) -> PlanReport:
    """Plans every staged order, or those named. Reads only. `tell` gets those that there is something to say of."""
    report = PlanReport()
    for each in planned(run, only, progress):
        report.add(each)
        if each.action != "unchanged" or each.warnings:
            tell(each)
    report.requests = {"read": run.client.reads, "write": run.client.writes}
    return report


def planned(run: Run, only: Sequence[str], progress: Callable[[int, int], None]) -> Iterator[OrderPlan]:
    for model in run.contract.models:
        staged = run.stage(model, only or None)
        staged.require(only)
        run.refuse_other_crm()
        session = run.session(staged)
        done = 0
        for chunk in plans(session, staged.orders(), run.settings.concurrency, run.stop):
            for _, each in chunk:
                yield each
            done += len(chunk)
            progress(done, len(staged.keys))


@dataclass(frozen=True)
class PlanFile:
    """A saved plan: what was to be done with which order, and a fingerprint of what that was based on."""

    crm_url: str
    created_at: str
    entries: dict[str, dict[str, Any]]
    """Match key → the order's entry, as `OrderPlan.as_json` with `digest` and `etag`."""
    whole: bool = False
    """It was made of every staged order."""

    def is_current(self, plan: OrderPlan) -> bool:
        entry = self.entries.get(match_key(plan.key))
        return entry is not None and entry["digest"] == plan.digest and entry["etag"] == plan.etag

    def is_rest(self, plan: OrderPlan) -> bool:
        """All that is left to do is to share the order as was planned."""
        planned = self.entries[match_key(plan.key)]["share_with"]
        return not (plan.new or plan.header or plan.state or plan.lines) and planned == plan.as_json()["share_with"]


def plan_file_entry(plan: OrderPlan) -> dict[str, Any]:
    return {**plan.entry(), "digest": plan.digest, "etag": plan.etag}


def write_plan_file(path: Path, entries: Iterable[str], crm_url: str, *, whole: bool) -> None:
    """Saves the orders that a push is to write, each a `plan_file_entry` in JSON."""
    head = {
        "version": PLAN_FILE_VERSION,
        "crm_url": crm_url,
        "created_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "whole": whole,
    }
    try:
        with open_private(path) as file:
            file.write(json.dumps(head).removesuffix("}") + ', "orders": [')
            for number, entry in enumerate(entries):
                file.write((",\n" if number else "\n") + entry)
            file.write("\n]}\n")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", "Name another file with --out.") from None


def read_plan_file(path: Path, crm_url: str) -> PlanFile:
    """Raises UsageError for a file that is not a plan, or one made for another CRM."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        entries = {match_key(entry["order"]): entry for entry in content["orders"]}
        if any(not entry.keys() >= _ENTRY for entry in entries.values()):
            raise KeyError("order")
        version, made_for, created_at = content["version"], content["crm_url"], content["created_at"]
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}", "Name a file that `loader plan --out` wrote."
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UsageError(f"{path} is not a plan file.", "Name a file that `loader plan --out` wrote.") from None
    if version != PLAN_FILE_VERSION:
        raise UsageError(f"{path} has version {version}; this loader reads {PLAN_FILE_VERSION}.", "Plan again.")
    if made_for != crm_url:
        raise UsageError(f"{path} was made for {made_for}, not for {crm_url}.", "Plan again for this CRM.")
    return PlanFile(made_for, created_at, entries, content.get("whole") is True)
