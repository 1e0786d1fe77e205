"""Plans what a push would do, counts it by outcome, and writes and reads plan files. CRM is only read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from loader.context import Context, Progress, Untouched
from loader.contract import Contract
from loader.errors import ChangesPlanned, LoaderError, RecordsWaiting, UsageError
from loader.files import open_private
from loader.push.comparing import Changes
from loader.push.session import open_session, planned_in_waves
from loader.push.staging import models_of, stage
from loader.sync.landed import Landings
from loader.sync.plan import RecordPlan
from loader.sync.plan_file import PlanFile, parse_plan_file, plan_file_text

_COUNTED = {"create": "create", "update": "update", "unchanged": "unchanged", "skip": "skipped", "block": "blocked"}


@dataclass
class PlanReport:
    """All records planned, by table and outcome."""

    contract: Contract
    tables: dict[str, dict[str, int]] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("create", "update", "delete"), 0))
    requests: dict[str, int] = field(default_factory=lambda: {"read": 0, "write": 0})
    reasons: Counter[str] = field(default_factory=Counter)
    """How many records each reason blocks or skips."""
    causes: dict[str, dict[str, Counter[str]]] = field(default_factory=dict)
    """Table, also one of lines → what is planned → reason or changed column → of how many rows it is the cause."""
    rows: dict[str, Counter[str]] = field(default_factory=dict)
    """Table of lines → how many of them are planned to be created, updated, deleted."""
    comparison: dict[str, Any] = field(default_factory=dict)
    """Whether all records were compared, and why; or those that moved."""
    warnings: Counter[str] = field(default_factory=Counter)
    """How many records have each warning."""

    def begin(self, table: str) -> None:
        """Counts a table, even if it has no records."""
        self.tables.setdefault(table, dict.fromkeys(_COUNTED.values(), 0))

    @property
    def records(self) -> dict[str, int]:
        """The sums over all tables."""
        return {name: sum(counts[name] for counts in self.tables.values()) for name in _COUNTED.values()}

    def add(self, plan: RecordPlan) -> None:
        self.begin(plan.table)
        self.tables[plan.table][_COUNTED[plan.action]] += 1
        self.reasons.update([plan.reason] if plan.reason else [])
        self.warnings.update({warning.code for warning in plan.warnings})
        for action in self.lines:
            number = plan.count_lines(action)
            self.lines[action] += number
            if number:
                self.rows.setdefault(plan.line_table, Counter(dict.fromkeys(self.lines, 0)))[action] += number
        if plan.reason:
            self._cause(plan.table, _COUNTED[plan.action], [plan.reason])
        if plan.action == "update":
            self._cause(plan.table, "update", ["(lines)"] * bool(plan.lines) + ["(share)"] * bool(plan.share))
        for table, _, action, changes in plan.changed() if plan.action == "update" else ():
            if action == "update":
                self._cause(table, action, [column for column, _, _ in changes])

    def leave(self, table: str, untouched: Untouched) -> None:
        """Counts records that are as they were when they were last compared."""
        self.tables[table][untouched.outcome] += untouched.count
        self.warnings.update(dict.fromkeys(untouched.warnings, untouched.count))
        if untouched.reason:
            self.reasons[untouched.reason] += untouched.count
            self._cause(table, untouched.outcome, {untouched.reason: untouched.count})

    def _cause(self, table: str, action: str, causes: Iterable[str] | Mapping[str, int]) -> None:
        if causes:
            self.causes.setdefault(table, {}).setdefault(action, Counter()).update(causes)

    @property
    def verdict(self) -> LoaderError | None:
        """The verdict for --detailed-exitcode."""
        changes = {table: counts["create"] + counts["update"] for table, counts in self.tables.items()}
        blocked = {table: counts["blocked"] for table, counts in self.tables.items()}
        if any(changes.values()):
            return ChangesPlanned(f"{self.contract.counted(changes)} would be created or updated.")
        if any(blocked.values()):
            remedy = "`loader plan` says of each what it waits for."
            return RecordsWaiting(f"Nothing to change, but blocked: {self.contract.counted(blocked)}.", remedy)
        return None

    def as_json(self) -> dict[str, Any]:
        return {
            "tables": self.tables,
            "records": self.records,
            "lines": self.lines,
            "requests": self.requests,
            "causes": self.causes,
            "comparison": self.comparison,
            "reasons": dict(sorted(self.reasons.items())),
            "warnings": dict(sorted(self.warnings.items())),
        }


def plan(
    context: Context,
    only: Sequence[str] = (),
    tables: Sequence[str] = (),
    progress: Progress = lambda done, total: None,
    tell: Callable[[RecordPlan], None] = lambda plan: None,
    full: bool = False,
) -> PlanReport:
    """Plans every staged record, those of some tables or those named. Reads only.

    `tell` is called for every record that would change, is blocked or skipped, or has a warning.
    """
    report = PlanReport(context.contract)
    models = models_of(context, tables)
    for model in models:
        report.begin(model.table)
    named = "records were named" if only else ""
    changes = Changes(context, models, is_whole=False, named=named, full=full)
    landings = Landings.of(models)
    everything = stage(context, models, only, None if only else changes.open_keys)
    context.refuse_other_crm()
    done, total = 0, sum(len(staged.keys) for staged in everything)
    for staged in everything:
        if only and not staged.keys:
            continue
        narrowed = changes.narrow(staged, landings)
        for untouched in narrowed.untouched():
            report.leave(staged.model.table, untouched)
            done += untouched.count
        session = open_session(context, narrowed, landings, is_expecting=True)
        for chunk in planned_in_waves(session, narrowed, context.settings.concurrency, context.stop):
            for _, each in chunk:
                report.add(each)
                if each.action != "unchanged" or each.warnings:
                    tell(each)
            done += len(chunk)
            progress(done, total)
    report.requests = context.requests
    report.comparison = changes.as_json()
    return report


def write_plan_file(path: Path, entries: Iterable[str], crm_url: str, *, whole: bool) -> None:
    """Saves the records that a push is to write, each a `plan_file_entry` in JSON. Raises UsageError."""
    created_at = datetime.now(timezone.utc).isoformat(timespec="seconds")
    try:
        with open_private(path) as file:
            file.writelines(plan_file_text(entries, crm_url, created_at, whole=whole))
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", "Name another file with --out.") from None


def read_plan_file(path: Path, crm_url: str | None = None) -> PlanFile:
    """Raises UsageError for a file that is not a plan, or, with `crm_url`, one made for another CRM."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}", "Name a file that `loader plan --out` wrote."
        ) from None
    except UnicodeDecodeError:
        text = ""
    return parse_plan_file(text, path, crm_url)
