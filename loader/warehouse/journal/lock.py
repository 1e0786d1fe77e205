"""The lock: only one run at a time writes to CRM, for as long as it renews its lease."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace

from loader.errors import AnotherRunActive, LoaderError, LockLost
from loader.warehouse.journal.here import process_exists, this_host
from loader.warehouse.journal.records import RunStart
from loader.warehouse.journal.tables import Tables

LOCK_NAME = "push"


@dataclass(frozen=True)
class _Lease:
    """When the lease began, by two clocks of this machine: one stops while the machine sleeps, the other can be set."""

    run_id: str
    duration: dt.timedelta
    renewed_at: dt.datetime
    tick: float = field(default_factory=time.monotonic)

    def is_half_over(self, now: dt.datetime) -> bool:
        elapsed = max((now - self.renewed_at).total_seconds(), time.monotonic() - self.tick)
        return elapsed >= self.duration.total_seconds() / 2


class Lock:
    """A row of sync_lock with a time at which it ends, which the holder extends."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._lease: _Lease | None = None
        self._lost: str | None = None

    def acquire(self, run: RunStart, lease_seconds: int = 120) -> None:
        """Takes the lock for `run`, or raises AnotherRunActive, which names the holder.

        If the lease has ended, or its process on this machine is gone, the lock is taken over and its run is marked as
        died.
        """

        begun = _Lease(run.run_id, dt.timedelta(seconds=lease_seconds), self._tables.here())

        def take() -> None:
            now = self._tables.now()
            held = self._tables.query(
                "sync_lock",
                "select run_id, host, pid, acquired_at, expires_at from {sync_lock} where lock_name = ?",
                [LOCK_NAME],
            )
            for run_id, host, pid, since, until in held:
                if run_id == run.run_id:
                    continue
                if _is_live(host, pid, until, now):
                    raise AnotherRunActive(
                        f"Run {run_id} holds the lock: process {pid} on {host}, since {_second(since)} UTC."
                    )
                message = f"Stopped without reporting a result; run {run.run_id} took over its lock."
                self._tables.execute(
                    "update {sync_run} set outcome = 'died', finished_at = ?, message = ?"
                    " where run_id = ? and outcome = 'running'",
                    [now, message, run_id],
                )
            self._tables.execute("delete from {sync_lock} where lock_name = ?", [LOCK_NAME])
            self._tables.insert(
                "sync_lock",
                {
                    "lock_name": LOCK_NAME,
                    "run_id": run.run_id,
                    "host": run.host,
                    "pid": run.pid,
                    "acquired_at": now,
                    "expires_at": now + dt.timedelta(seconds=lease_seconds),
                },
            )

        self._tables.atomically("sync_lock", take)
        self._lease, self._lost = begun, None

    def renew(self) -> None:
        """Extends the lease. Raises LockLost if another run has taken over the lock and may be pushing."""
        lease = self._held_lease()
        renewed = replace(lease, renewed_at=self._tables.here(), tick=time.monotonic())
        changed = self._tables.atomically(
            "sync_lock",
            lambda: self._tables.execute(
                "update {sync_lock} set expires_at = ? where lock_name = ? and run_id = ?",
                [self._tables.now() + lease.duration, LOCK_NAME, lease.run_id],
            ),
        )
        if not changed:
            self._lease, self._lost = None, lease.run_id
            raise _lock_lost(lease.run_id)
        self._lease = renewed

    def ensure_held(self) -> None:
        """Called before each write to CRM, by the thread that sends it. Renews a lease that may have ended.

        Raises LockLost if that is no longer possible, so that two runs never write at the same time.
        """
        if self._held_lease().is_half_over(self._tables.here()):
            self.renew()

    def release(self) -> None:
        """Releases the lock, unless another run has taken it over."""
        lease, self._lease = self._lease, None
        if lease is not None:
            self._tables.atomically(
                "sync_lock",
                lambda: self._tables.execute(
                    "delete from {sync_lock} where lock_name = ? and run_id = ?", [LOCK_NAME, lease.run_id]
                ),
            )

    @contextmanager
    def holding(self, run: RunStart, lease_seconds: int = 120) -> Iterator[None]:
        """Holds the lock during a block. A thread renews the lease; `ensure_held` raises LockLost if it could not."""
        self.acquire(run, lease_seconds)
        ended = threading.Event()

        def keep() -> None:
            while not ended.wait(lease_seconds / 4):
                with suppress(LoaderError):  # ensure_held meets the same error, where something can be done about it
                    self.renew()

        thread = threading.Thread(target=keep, name="lock-renewal", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            with suppress(LoaderError):  # the warehouse is gone: the lock becomes free when the lease ends
                self.release()

    def _held_lease(self) -> _Lease:
        lease = self._lease
        if lease is None:
            raise _lock_lost(self._lost or "this run")
        return lease

    def is_held_by(self, run_id: str) -> bool:
        """Whether the lock is this run's, by what the database says."""
        held = self._tables.query("sync_lock", "select run_id from {sync_lock} where lock_name = ?", [LOCK_NAME])
        return [holder for (holder,) in held] == [run_id]

    def live_runs(self) -> set[str]:
        """The ids of the runs that hold the lock and whose process may still be running."""
        now = self._tables.now()
        held = self._tables.query("sync_lock", "select run_id, host, pid, expires_at from {sync_lock}")
        return {str(run_id) for run_id, host, pid, until in held if _is_live(host, pid, until, now)}


def _lock_lost(run_id: str) -> LockLost:
    return LockLost(
        f"The lock of run {run_id} was lost: its lease ended, and another run may have begun. Nothing more was written."
    )


def _second(instant: object) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S}" if isinstance(instant, dt.datetime) else str(instant)


def _is_live(host: object, pid: object, expires_at: object, now: dt.datetime) -> bool:
    if not isinstance(expires_at, dt.datetime) or expires_at <= now:
        return False
    return host != this_host() or not isinstance(pid, int) or process_exists(pid)
