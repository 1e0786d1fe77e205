"""Sends planned records and settles each of them, whatever CRM answers. This module keeps the promises.

Worker threads send. The caller's thread settles results: it counts them and records them in the journal.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Literal

from loader.dataverse.batch import MAX_OPERATIONS, Reply
from loader.dataverse.client import LostReply, RequestFailed
from loader.dataverse.errors import DUPLICATE_ID, CrmError
from loader.dataverse.pace import Interrupted, backoff
from loader.errors import CrmUnavailable, LoaderError, LockLost, WarehouseUnavailable
from loader.push.session import Session
from loader.sync.plan import RecordPlan
from loader.sync.records import Staged
from loader.sync.refusals import located

SHARE = 100
"""The fewest operations per request when the last records of a run are divided among the workers."""
ROUNDS = 9
"""How many times a record is read and sent again before this run gives it up."""
GIVEN_UP = 3
"""After this many records in a row without any reply, CRM counts as out of reach and the run ends."""

Outcome = Literal["created", "updated", "unchanged", "skipped", "blocked", "failed"]
_UNSENT: Mapping[str, Outcome] = {"unchanged": "unchanged", "skip": "skipped", "block": "blocked"}


@dataclass(frozen=True)
class Settled:
    """How a run ended for one record."""

    plan: RecordPlan
    outcome: Outcome
    reason: str = ""
    message: str = ""
    request_id: str = ""
    reached: bool = True
    """False if the run ended before it did anything about the record."""

    @property
    def pushed(self) -> bool:
        return self.outcome in ("created", "updated")


@dataclass
class Pusher:
    """Sends plans and settles them. `settle` is called exactly once per record, on the calling thread."""

    session: Session
    settle: Callable[[list[Settled]], None]
    concurrency: int = 4
    batch_size: int = MAX_OPERATIONS
    stop: threading.Event = field(default_factory=threading.Event)
    failure: LoaderError | None = None
    """What ended the run early: CRM out of reach, credentials refused, the lock lost."""
    still_wanted: Callable[[RecordPlan], RecordPlan] = lambda plan: plan
    """Decides about a record that was planned again because it had changed or because its reply was lost."""
    _given_up: int = 0
    _sent: set[Future[list[Settled]]] = field(default_factory=set)

    def run(self, chunks: Iterable[Sequence[tuple[Staged, RecordPlan]]]) -> None:
        """Pushes everything. Raises the first error that ends the run, once the current requests have returned."""
        waiting = _Waiting()
        with ThreadPoolExecutor(self.concurrency, thread_name_prefix="send") as senders:
            try:
                for chunk in chunks:
                    self._settle([settled_unsent(plan) for _, plan in chunk if not plan.writes])
                    waiting.add((staged, plan) for staged, plan in chunk if plan.writes)
                    while waiting.operations > self.batch_size * (self._workers + 1) and not self.stop.is_set():
                        self._submit(senders, waiting.take(self.batch_size))
                    if self.stop.is_set():
                        break
                while waiting and not self.stop.is_set():
                    share = max(SHARE, ceil(waiting.operations / self._workers))
                    self._submit(senders, waiting.take(min(self.batch_size, share)))
            finally:
                self._collect(at_most=0)

    @property
    def _workers(self) -> int:
        return min(self.concurrency, self.session.client.pace.allowed)

    def _submit(self, senders: ThreadPoolExecutor, records: list[tuple[Staged, RecordPlan]]) -> None:
        self._sent.add(senders.submit(self._send, records))
        self._collect(at_most=2 * self.concurrency)

    def _collect(self, at_most: int) -> None:
        """Settles the records of finished requests. Waits until at most this many requests are running."""
        failure: Exception | None = None
        while self._sent:
            over = len(self._sent) - at_most
            done, _ = wait(self._sent, timeout=None if over > 0 else 0, return_when=FIRST_COMPLETED)
            if not done:
                break
            self._sent -= done
            settled: list[Settled] = []
            for future in done:
                try:
                    settled += future.result()
                except Exception as error:
                    failure = failure or error
            try:
                self._settle(settled)
            except Exception as error:
                failure = failure or error
            if failure:
                self.stop.set()
        if failure:
            raise failure

    def _settle(self, records: list[Settled]) -> None:
        if records:
            self.settle(records)

    def _send(self, records: list[tuple[Staged, RecordPlan]]) -> list[Settled]:
        """Sends one batch, again if necessary, until each of its records is settled."""
        settled: list[Settled] = []
        pending = [_Attempt(self.session, staged, plan) for staged, plan in records]
        try:
            for number in range(ROUNDS):
                self._apply_all(pending, len(records) // 4**number, settled)
                pending = [attempt for attempt in pending if not attempt.is_settled]
                if pending:
                    self._plan_again(pending, number, settled)
                    pending = [attempt for attempt in pending if not attempt.is_settled]
                if not pending:
                    return settled
            self._give_up([attempt for attempt in pending if attempt.was_lost])
            reason, text = "crm_rejected", "still refused after several attempts"
        except Interrupted:
            noun = self.session.bindings.model.noun
            reason, text = (
                "interrupted",
                f"the run was stopped before this {noun} was settled; the next one takes it up",
            )
            if self.failure:
                reason, text = reason_of(self.failure), str(self.failure)
        except LoaderError as error:
            self.failure = self.failure or error
            self.stop.set()
            reason, text = reason_of(error), str(error)
        return settled + [
            Settled(
                attempt.plan,
                "failed",
                _last_reason(attempt, reason),
                str(attempt.last_error or text),
                reached=attempt.last_error is not None or reason != "interrupted",
            )
            for attempt in pending
            if not attempt.is_settled
        ]

    def _apply_all(self, pending: list[_Attempt], size: int, settled: list[Settled]) -> None:
        """Sends records in requests of `size`, so that a record that CRM never answers is finally sent alone."""
        pending.sort(key=lambda attempt: attempt.times_lost)
        lost_before = False
        for start in range(0, len(pending), max(1, size)):
            part = pending[start : start + max(1, size)]
            was_lost = not self._apply(part, settled)
            if was_lost and lost_before:
                return
            lost_before = was_lost

    def _apply(self, pending: list[_Attempt], settled: list[Settled]) -> bool:
        """Sends records in one request. Returns whether the reply arrived."""
        try:
            replies = self.session.client.apply([attempt.plan.operations for attempt in pending])
        except LostReply as error:
            for attempt in pending:
                attempt.lost(error)
            return False
        except RequestFailed as error:
            if len(pending) == 1:
                settled.append(pending[0].rejected(error.error))
                self._give_up(pending if error.error.is_foreign else [])
                return True
            half = len(pending) // 2
            return self._apply(pending[:half], settled) and self._apply(pending[half:], settled)
        self._given_up = 0
        for attempt, reply in zip(pending, replies, strict=False):
            settled += attempt.answered(reply)
        return True

    def _plan_again(self, pending: list[_Attempt], number: int, settled: list[Settled]) -> None:
        """Reads records again that have changed or whose outcome is unknown, and plans what is left to do."""
        if any(attempt.is_passing for attempt in pending):
            asked = max(attempt.retry_after for attempt in pending)
            self.session.client.patience.wait(asked or backoff(number))
        anew = self.session.plan(
            [attempt.staged for attempt in pending], {attempt.staged.key: attempt.id_attempt for attempt in pending}
        )
        for attempt, plan in zip(pending, anew, strict=True):
            asks = plan.writes and not attempt.completes(plan)
            settled += attempt.planned_again(self.still_wanted(plan) if asks else plan)

    def _give_up(self, pending: list[_Attempt]) -> None:
        """Raises CrmUnavailable if CRM itself does not answer, and not only for one record."""
        self._given_up += len(pending)
        if self._given_up >= GIVEN_UP:
            raise CrmUnavailable(
                f"CRM did not answer writes: {pending[-1].last_error}",
                "Check the service's health, and run again later: what arrived is not sent twice.",
            )


@dataclass
class _Attempt:
    """One record that is being sent."""

    session: Session
    staged: Staged
    plan: RecordPlan
    first_plan: RecordPlan | None = None
    was_lost: bool = False
    times_lost: int = 0
    is_settled: bool = False
    id_attempt: int = 0
    is_passing: bool = False
    """Whether the failure is CRM's rather than the record's, so that the loader should wait for a while."""
    retry_after: float = 0.0
    last_error: str | None = None
    share_refusal: str = ""
    """CRM's message if it refused to share the record."""
    is_halfway: bool = False
    """Whether the record exists now, and the next change set has its lines."""

    def lost(self, error: LostReply) -> None:
        self.was_lost = self.is_passing = True
        self.times_lost += 1
        self.retry_after, self.last_error = error.retry_after or 0.0, str(error)

    def answered(self, reply: Reply | list[Reply]) -> list[Settled]:
        self.is_passing, self.retry_after = False, 0.0
        error = None if isinstance(reply, list) else reply.error
        if error is None:
            if isinstance(reply, list) and len(reply) == len(self.plan.operations):
                if self.plan.is_part:
                    self.first_plan, self.is_halfway = self._intended, True
                    return []
                return [self._settle("created" if self._intended.action == "create" else "updated")]
            self.was_lost, self.last_error = True, "CRM did not answer every operation of the change set"
            return []
        if error.is_foreign and not error.is_passing:
            self.was_lost, self.last_error = True, f"the reply to the change set is not CRM's: {error}"
            return []
        if error.is_passing or error.is_conflict:
            self.last_error, self.is_passing = str(error), error.is_passing
            self.retry_after = error.retry_after or 0.0
            if error.code == DUPLICATE_ID and not self.was_lost and self.plan.action == "create":
                self.id_attempt += 1
            return []
        if self.plan.share and error.refuses_share(self.plan.share[1]):
            self.share_refusal = str(error)
            return []
        return [self.rejected(error)]

    def rejected(self, error: CrmError) -> Settled:
        self.is_settled, self.last_error = True, str(error)
        reason, message = "crm_unavailable", str(error)
        if not error.is_foreign:
            reason = "crm_rejected"
            message = located(error, self.plan.operations, self.staged, self.session.bindings.base)
        return Settled(self.plan, "failed", reason, message, error.request_id or "")

    def planned_again(self, plan: RecordPlan) -> list[Settled]:
        if self.was_lost:
            self.first_plan = self._intended
        if self.share_refusal:
            plan = plan.without_share(self.share_refusal)
        if plan.writes:
            self.plan = plan
            return []
        arrived = plan.action == "unchanged" or bool(plan.closes_as and plan.closes_as == self._intended.closes_as)
        if arrived and (self.was_lost or self.is_halfway):
            return [self._settle("created" if self._intended.action == "create" else "updated")]
        self.is_settled = True
        return [settled_unsent(plan)]

    def completes(self, plan: RecordPlan) -> bool:
        """Whether the new plan is the second half of a record that needs two change sets, that is, its lines."""
        first = self._intended
        return first.is_part and plan.action == "update" and plan.crm_id == first.crm_id

    @property
    def _intended(self) -> RecordPlan:
        return self.first_plan or self.plan

    def _settle(self, outcome: Outcome) -> Settled:
        self.is_settled = True
        plan = self._intended
        if self.share_refusal:
            plan = plan.without_share(self.share_refusal)
            outcome = outcome if plan.writes else "unchanged"
        return Settled(plan if plan is self.plan else replace(plan, crm_id=self.plan.crm_id), outcome)


def reason_of(failure: LoaderError) -> str:
    """The reason for records that a run did not finish because of `failure`."""
    return "interrupted" if isinstance(failure, (LockLost, WarehouseUnavailable)) else "crm_unavailable"


def _last_reason(attempt: _Attempt, reason: str) -> str:
    is_crms_trouble = attempt.was_lost or attempt.is_passing
    return "crm_unavailable" if reason == "crm_rejected" and is_crms_trouble else reason


def settled_unsent(plan: RecordPlan) -> Settled:
    return Settled(plan, _UNSENT[plan.action], plan.reason, plan.message)


class _Waiting:
    """Records that are planned but not sent yet."""

    def __init__(self) -> None:
        self.operations = 0
        self._orders: deque[tuple[Staged, RecordPlan]] = deque()

    def __bool__(self) -> bool:
        return bool(self._orders)

    def add(self, records: Iterable[tuple[Staged, RecordPlan]]) -> None:
        for staged, plan in records:
            self._orders.append((staged, plan))
            self.operations += len(plan.operations)

    def take(self, size: int) -> list[tuple[Staged, RecordPlan]]:
        """As many records as fit into `size` operations, at least one."""
        taken: list[tuple[Staged, RecordPlan]] = []
        while self._orders and (not taken or len(self._orders[0][1].operations) <= size):
            staged, plan = self._orders.popleft()
            taken.append((staged, plan))
            size -= len(plan.operations)
            self.operations -= len(plan.operations)
        return taken
