"""How many requests may be under way at once, and how long to wait: what CRM advises (docs/dataverse.md, "Limits")."""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf

LONGEST_WAIT = 300.0
"""In seconds: the window of CRM's service protection limits."""
_LOOK_EVERY = 0.05
"""Seconds after which a waiting run notices at the latest that it is to stop."""


class Interrupted(Exception):
    """The run was asked to stop while waiting."""


class Stop(threading.Event):
    """Ends a run early. A signal handler may set it, which it may not do with its base.

    The base takes a lock to be set. A signal that comes while the main thread holds that lock, because it begins or
    ends to wait, would have the handler wait for the thread that it interrupts, for ever.
    """

    def __init__(self) -> None:
        super().__init__()
        self._was_set = False

    def set(self) -> None:
        self._was_set = True

    def is_set(self) -> bool:
        return self._was_set

    def wait(self, timeout: float | None = None) -> bool:
        until = inf if timeout is None else time.monotonic() + timeout
        while not self._was_set and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _LOOK_EVERY))
        return self._was_set


@dataclass(frozen=True)
class Patience:
    """How a run waits before it tries again: at most `longest` seconds, and not at all once it has been stopped."""

    stop: threading.Event = field(default_factory=Stop)
    longest: float = LONGEST_WAIT

    def wait(self, seconds: float) -> None:
        """Raises Interrupted if the run is stopped in the meantime."""
        self.stop.wait(min(seconds, self.longest))
        self.raise_if_stopped()

    def raise_if_stopped(self) -> None:
        if self.stop.is_set():
            raise Interrupted


def backoff(attempt: int) -> float:
    """Seconds to wait: a quarter, doubled for each attempt up to 15, varied so that workers do not act in step."""
    return min(15.0, 0.25 * 2.0**attempt) * float(random.uniform(0.75, 1.25))


class Pace:
    """Limits how many requests are sent at once, between 1 and `most`.

    The limit follows `x-ms-dop-hint`, is halved after a 429, and grows by one for each round of successes.
    """

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
        """Follows CRM's recommended parallelism, from a reply's header: more slows CRM down. Nonsense is ignored."""
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
