"""How many requests may be under way at once, and how long to wait: what CRM advises (docs/dataverse.md, "Limits")."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

LONGEST_WAIT = 300.0
"""Seconds; the window of CRM's service protection limits."""


class Interrupted(Exception):
    """The run was asked to stop while waiting."""


@dataclass(frozen=True)
class Patience:
    """How a run waits before it tries something again: `longest` seconds at most, and not at all once it is stopped."""

    stop: threading.Event = field(default_factory=threading.Event)
    longest: float = LONGEST_WAIT

    def wait(self, seconds: float) -> None:
        """Raises Interrupted when the run is stopped meanwhile."""
        self.stop.wait(min(seconds, self.longest))
        self.raise_if_stopped()

    def raise_if_stopped(self) -> None:
        if self.stop.is_set():
            raise Interrupted


def backoff(attempt: int) -> float:
    """Seconds: doubles from a quarter, at most 15, with jitter so that workers do not march in step."""
    return min(15.0, 0.25 * 2.0**attempt) * float(random.uniform(0.75, 1.25))


class Pace:
    """A counting gate between 1 and `most`. Follows `x-ms-dop-hint`, halves on 429, recovers one step a round."""

    def __init__(self, most: int) -> None:
        self._limit = self._most = most
        self._allowed = float(most)
        self._busy = 0
        self._changed = threading.Condition()

    @property
    def allowed(self) -> int:
        return max(1, int(self._allowed))

    @contextmanager
    def slot(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: self._busy < self.allowed)
            self._busy += 1
        try:
            yield
        finally:
            with self._changed:
                self._busy -= 1
                self._changed.notify_all()

    def advised(self, hint: str | None) -> None:
        """CRM's recommended parallelism, from the reply's header; more than that slows it down. Garbage is ignored."""
        if hint and re.fullmatch("[0-9]{1,4}", hint) and int(hint) > 0:
            with self._changed:
                self._most = min(self._limit, int(hint))
                self._allowed = min(self._allowed, self._most)

    def throttled(self) -> None:
        with self._changed:
            self._allowed = max(1.0, self._allowed / 2)

    def succeeded(self) -> None:
        with self._changed:
            self._allowed = min(float(self._most), self._allowed + 1 / max(1.0, self._allowed))
            self._changed.notify_all()
