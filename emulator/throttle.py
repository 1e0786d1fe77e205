"""Service protection limits: requests, execution time and concurrency per user in a sliding window."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from .errors import CrmError


@dataclass(frozen=True)
class Limits:
    """The documented limits. Each may be changed; None removes one."""

    requests: int | None = 6000
    execution_seconds: float | None = 1200
    concurrent: int | None = 52
    window_seconds: float = 300
    dop_hint: int | None = 4


@dataclass
class _Usage:
    requests: deque[float] = field(default_factory=deque)
    executions: deque[tuple[float, float]] = field(default_factory=deque)
    executed: float = 0.0
    running: int = 0
    refused: int = 0


class Throttle:
    """Counts per user. Refuses with 429 and a Retry-After that grows while the caller keeps trying."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self.clock = clock
        self.users: dict[str, _Usage] = {}

    @contextmanager
    def request(self, user: str) -> Iterator[dict[str, str]]:
        """Surrounds one HTTP request. Yields the rate limit headers; raises CrmError if a limit is exceeded."""
        usage = self.users.setdefault(user, _Usage())
        now = self.clock()
        self._forget(usage, now)
        limits = self.limits
        if limits.concurrent is not None and usage.running >= limits.concurrent:
            raise self._refusal(
                usage, 0, "0x80072326", f"Number of concurrent requests exceeded the limit of {limits.concurrent}."
            )
        if limits.requests is not None and len(usage.requests) >= limits.requests:
            raise self._refusal(
                usage,
                usage.requests[0] + limits.window_seconds - now,
                "0x80072322",
                f"Number of requests exceeded the limit of {limits.requests} over time window of "
                f"{limits.window_seconds:g} seconds.",
            )
        if limits.execution_seconds is not None and usage.executed >= limits.execution_seconds:
            raise self._refusal(
                usage,
                usage.executions[0][0] + limits.window_seconds - now,
                "0x80072321",
                "Combined execution time of incoming requests exceeded limit of "
                f"{limits.execution_seconds * 1000:,.0f} milliseconds over time window of "
                f"{limits.window_seconds:g} seconds. Decrease number of concurrent requests or reduce the duration "
                "of requests and try again later.",
            )
        usage.refused = 0
        usage.requests.append(now)
        usage.running += 1
        try:
            yield self._headers(usage)
        finally:
            usage.running -= 1
            ended = self.clock()
            usage.executions.append((ended, ended - now))
            usage.executed += ended - now

    def _forget(self, usage: _Usage, now: float) -> None:
        start = now - self.limits.window_seconds
        while usage.requests and usage.requests[0] <= start:
            usage.requests.popleft()
        while usage.executions and usage.executions[0][0] <= start:
            usage.executed -= usage.executions.popleft()[1]

    def _headers(self, usage: _Usage) -> dict[str, str]:
        headers = {}
        limits = self.limits
        if limits.requests is not None:
            headers["x-ms-ratelimit-burst-remaining-xrm-requests"] = str(limits.requests - len(usage.requests))
        if limits.execution_seconds is not None:
            headers["x-ms-ratelimit-time-remaining-xrm-requests"] = (
                f"{max(0.0, limits.execution_seconds - usage.executed):.2f}"
            )
        return headers

    def _refusal(self, usage: _Usage, wait: float, code: str, message: str) -> CrmError:
        usage.refused += 1
        seconds = max(1, math.ceil(wait)) + usage.refused - 1
        return CrmError(429, code, message, {"Retry-After": str(seconds)})
