"""How many requests may be under way at once: as CRM advises, fewer when it complains (dataverse facts 4)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


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
        """CRM's recommended parallelism, from the reply's header; more than that slows it down."""
        if hint and hint.isdigit() and int(hint) > 0:
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
