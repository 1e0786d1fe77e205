"""Counts settled records, records them in the journal, knows which ones a run did not reach, and makes its report."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from loader.context import Context, Progress, Untouched
from loader.contract import Contract, Model
from loader.errors import GuardTripped, LoaderError
from loader.keys import match_key
from loader.push.sender import Settled, reason_of, settled_unsent
from loader.push.session import set_aside
from loader.sync.plan import RecordPlan
from loader.warehouse.journal import Equal, RecordResult, RunCounts, RunOutcome

log = logging.getLogger(__name__)

OUTCOMES = ("created", "updated", "unchanged", "skipped", "blocked", "failed")
_LINES = ("create", "update", "delete")


@dataclass
class PushReport:
    """How a run ended. `failure` is the error that ended it early, if any."""

    run_id: str
    tell: Callable[[Settled], None] = lambda settled: None
    """Is called for each record that changed, was blocked, failed or has a warning."""
    contract: Contract | None = None
    staged: int = 0
    tables: dict[str, dict[str, int]] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_LINES, 0))
    requests: dict[str, int] = field(default_factory=lambda: {"read": 0, "write": 0})
    comparison: dict[str, Any] = field(default_factory=dict)
    """Whether all records were compared, and why; or those that moved."""
    stale: int = 0
    """Blocked records that only changed since the plan was made. They are not queued."""
    failure: LoaderError | None = None
    interrupted: bool = False

    def begin(self, table: str) -> None:
        """Counts a table, even if it has no records."""
        self.tables.setdefault(table, dict.fromkeys(OUTCOMES, 0))

    @property
    def records(self) -> dict[str, int]:
        """The sums over all tables."""
        return {name: sum(counts[name] for counts in self.tables.values()) for name in OUTCOMES}

    @property
    def in_trouble(self) -> int:
        return self.records["blocked"] + self.records["failed"]

    def counted(self, *outcomes: str) -> str:
        """The records with these outcomes in words, or all of them: `3 accounts, 1 order`."""
        assert self.contract is not None
        wanted = outcomes or OUTCOMES
        return self.contract.counted({table: sum(its[each] for each in wanted) for table, its in self.tables.items()})

    def as_json(self) -> dict[str, Any]:
        return {
            "run_id": self.run_id,
            "tables": self.tables,
            "records": self.records,
            "lines": self.lines,
            "requests": self.requests,
            "comparison": self.comparison,
        }


class Tally:
    """Counts settled records, records them in the journal, and knows which ones are not settled."""

    def __init__(
        self,
        context: Context,
        model: Model,
        keys: Sequence[str],
        report: PushReport,
        progress: Progress,
        untouched: Sequence[Untouched] = (),
    ) -> None:
        """`untouched`: the records besides, which are as they were when they were last compared."""
        self._context, self._model, self._report, self._progress = context, model, report, progress
        report.contract = context.contract
        report.begin(model.table)
        self._done = sum(each.count for each in untouched)
        self._total = len(keys) + self._done
        report.staged += self._done
        for each in untouched:
            report.tables[model.table][each.outcome] += each.count
        self._open = Counter(keys)
        own = set(map(match_key, keys))
        self._queued = context.journal.keys_in_queue(model.table, ["open"], own)
        self._known = context.journal.known_keys(model.table, own)
        self._noted = context.journal.noted_keys(model.table, own)

    def settle(self, records: list[Settled]) -> None:
        self._done += len(records)
        self._report.staged += len(records)
        for each in records:
            self._open[each.plan.key] -= 1
            self._report.tables[each.plan.table][each.outcome] += 1
            if each.reason == "plan_stale":
                self._report.stale += 1
            if each.pushed:
                for action in _LINES:
                    self._report.lines[action] += each.plan.count_lines(action)
            if each.outcome != "unchanged" or each.plan.warnings:
                self._report.tell(each)
        news = [_result(each) for each in records if self._is_news(each)]
        if news:
            self._context.journal.record(news, self._report.run_id, counts_of(self._report, self._context))
        for each in records:
            if each.outcome in ("blocked", "failed"):
                level = logging.WARNING if each.outcome == "blocked" else logging.ERROR
                about = {"table": each.plan.table, "key": each.plan.key, "outcome": each.outcome, "reason": each.reason}
                log.log(level, "%s: %s, %s", each.outcome, each.reason, each.message, extra=about)
        self._progress(self._done, self._total)

    def settle_rest(self, failure: LoaderError | None) -> None:
        """The records that the run did not reach. If the run finished, they are no longer staged."""
        left = list(self._open.elements())
        if not left:
            return
        reason = reason_of(failure) if failure else "interrupted"
        message = str(failure) if failure else f"the run was stopped before it came to this {self._model.noun}"
        aside = self._context.journal.held_or_ignored(self._model.table)
        settled: list[Settled] = []
        for key in left:
            if key in aside:
                settled.append(settled_unsent(set_aside(key, self._model.table, aside[key])))
            else:
                plan = RecordPlan(key, self._model.table, "block", reason=reason, message=message)
                settled.append(Settled(plan, "failed", reason, message, reached=False))
        self.settle(settled)

    def _is_news(self, settled: Settled) -> bool:
        """Whether the journal needs an unchanged record: if it has it in the queue, or knows something else of it."""
        key = match_key(settled.plan.key)
        return (
            settled.outcome != "unchanged"
            or bool(settled.plan.warnings)
            or key in self._queued
            or key in self._noted
            or key not in self._known
            or self._known[key] != _equal(settled)
        )


def result_json(settled: Settled) -> dict[str, Any]:
    """A record's entry in `push --json`."""
    reason, message = settled.reason or None, settled.message
    return {**settled.plan.entry(), "outcome": settled.outcome, "reason": reason, "message": message}


def _result(settled: Settled) -> RecordResult:
    plan = settled.plan
    return RecordResult(
        key=plan.key,
        table=plan.table,
        crm_id=plan.crm_id,
        action=plan.action,
        outcome=settled.outcome,
        reason=settled.reason or None,
        message=settled.message or None,
        changes=plan.changes_text if plan.writes else (),
        warnings=plan.warnings_json(),
        missing=_missing(plan),
        request_id=settled.request_id or None,
        shared_with=":".join(plan.share) if plan.share and settled.pushed else None,
        not_shared_with=":".join(plan.refused_share) if plan.refused_share else None,
        pushed=settled.pushed,
        is_closed=bool(plan.closes_as),
        reached=settled.reached,
        equal=_equal(settled),
    )


def _equal(settled: Settled) -> Equal | None:
    """With what a record was found as it should be in CRM, or skipped for what it is there.

    None if it was written, because CRM may have changed more then.
    """
    plan = settled.plan
    if settled.outcome not in ("unchanged", "skipped") or not plan.staged_digest:
        return None
    return Equal.of(plan.staged_digest, plan.line_ids)


def _missing(plan: RecordPlan) -> list[dict[str, Any]]:
    """The rows that CRM lacks for the record, each once even if several lines name it."""
    distinct = {(each.code, each.table, tuple(each.match.items())) for each in plan.obstacles if each.table}
    return [{"code": code, "table": table, "match": dict(match)} for code, table, match in sorted(distinct)]


def counts_of(report: PushReport, context: Context) -> RunCounts:
    report.requests = context.requests
    return RunCounts(
        staged=report.staged,
        **report.records,
        lines_created=report.lines["create"],
        lines_updated=report.lines["update"],
        lines_deleted=report.lines["delete"],
        requests_read=report.requests["read"],
        requests_write=report.requests["write"],
    )


def outcome_of(report: PushReport) -> RunOutcome:
    if report.failure:
        return "stopped" if isinstance(report.failure, GuardTripped) and not report.staged else "error"
    if report.interrupted:
        return "interrupted"
    return "blocked" if report.in_trouble else "ok"
