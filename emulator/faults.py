"""Faults on demand.

Each method adds one fault and returns it; `fired` counts how often it struck. A fault strikes, `times` times, requests
that fit its conditions (or operations, for `error` and `deadlock`). The conditions are:

- `method`: GET, POST, PATCH or DELETE; for a batch, POST
- `path`: a regular expression searched in the request's path and query
- `kind`: "read" (no write in it), "write" (a write in it), "batch", or "login": requests to the login
  service, which no other fault strikes
- `order`: requests that name an order, or any other record, by its name, its number or its id
- `value`: reads that look for this value
- `skip`: how many fitting requests pass first
- `when`: any function of the request (in Python only)
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from urllib.parse import unquote

from .errors import CrmError, deadlock


@dataclass(frozen=True)
class Seen:
    """What a condition knows of a request or an operation."""

    method: str
    path: str
    reads: int
    writes: int
    batch: bool
    names: Callable[[str], bool]
    """Whether the request names a record."""
    targets: Sequence[str] = ()
    """The targets of its operations, each a path with its query."""
    login: bool = False
    """Whether the request is for the login service."""

    def looks_for(self, value: str) -> bool:
        """Whether a filter of one of its reads has this value, escaped or not."""
        return any(value in items for target in self.targets for items in listed(target))


def listed(target: str) -> Iterator[set[str]]:
    """The items of each list of values in a target."""
    for items in re.findall(r"PropertyValues=\[(.*?)\]\)", unquote(target)):
        yield {json.loads(item) for item in re.findall(r'"(?:[^"\\]|\\.)*"', items)}


@dataclass(frozen=True)
class Page:
    """An answer that is not CRM's, but that of a proxy, a firewall or the network's sign-in page."""

    status: int = 200
    body: bytes = b"<html><body>Please sign in. {request}</body></html>"
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "text/html; charset=utf-8"})
    echo: bool = False
    """Whether the request's headers and body replace `{request}`, escaped as HTML or JSON."""

    def text(self, headers: Mapping[str, str], body: bytes) -> bytes:
        if not self.echo:
            return self.body.replace(b"{request}", b"")
        request = "\n".join([*(f"{name}: {value}" for name, value in headers.items()), body.decode("utf-8", "replace")])
        is_json = "json" in dict(self.headers).get("Content-Type", "")
        escaped = json.dumps(request)[1:-1] if is_json else html.escape(request)
        return self.body.replace(b"{request}", escaped.encode())


@dataclass
class Fault:
    what: str
    times: int | None = 1
    method: str | None = None
    path: str | None = None
    kind: str | None = None
    order: str | None = None
    value: str | None = None
    skip: int = 0
    when: Callable[[Seen], bool] | None = None
    seconds: float = 0.0
    retry_after: int | None = None
    error: CrmError | None = None
    page: Page | None = None
    change: Callable[[bytes], bytes] | None = None
    fired: int = 0
    passed: int = 0

    def fits(self, seen: Seen) -> bool:
        return (
            (self.kind == "login") == seen.login
            and (self.method is None or seen.method == self.method)
            and (self.path is None or re.search(self.path, seen.path) is not None)
            and (
                self.kind is None
                or {"login": True, "read": seen.writes == 0, "write": seen.writes > 0, "batch": seen.batch}[self.kind]
            )
            and (self.order is None or seen.names(self.order))
            and (self.value is None or seen.looks_for(self.value))
            and (self.when is None or self.when(seen))
        )

    @property
    def spent(self) -> bool:
        return self.times is not None and self.fired >= self.times

    def describe(self) -> dict[str, object]:
        shown = ("what", "times", "method", "path", "kind", "order", "value", "skip", "seconds", "retry_after", "fired")
        return {name: getattr(self, name) for name in shown}


KINDS = (
    "throttle",
    "unavailable",
    "reset_before_commit",
    "reset_after_commit",
    "delay_before_commit",
    "delay_after_commit",
    "drip",
    "page",
    "expire_token",
    "error",
    "deadlock",
)


@dataclass
class Faults:
    """The faults that have yet to strike, and the latency."""

    waiting: list[Fault] = field(default_factory=list)
    latency_seconds: float = 0.0
    latency_per_operation: float = 0.0
    on_expire: Callable[[], None] | None = None
    _lock: Lock = field(default_factory=Lock)

    def latency(self, seconds: float = 0.0, *, per_operation: float = 0.0) -> None:
        """Delay every request by `seconds`, and by `per_operation` for each of its operations.

        Each row of a bulk message or of a deep insert takes as long as an operation.
        """
        self.latency_seconds = seconds
        self.latency_per_operation = per_operation

    def pause(self, rows: int) -> float:
        """By how many seconds the latency delays a request of this many operations."""
        return self.latency_seconds + self.latency_per_operation * rows

    def throttle(self, times: int | None = 1, *, retry_after: int | None = 1, **conditions: object) -> Fault:
        """Answer 429 with `Retry-After`, as for too many requests, without doing anything."""
        return self._add("throttle", times, conditions, retry_after=retry_after)

    def unavailable(self, times: int | None = 1, *, retry_after: int | None = None, **conditions: object) -> Fault:
        """Answer 503 without doing anything."""
        return self._add("unavailable", times, conditions, retry_after=retry_after)

    def reset_before_commit(self, times: int | None = 1, **conditions: object) -> Fault:
        """Reset the connection without doing anything."""
        return self._add("reset_before_commit", times, conditions)

    def reset_after_commit(self, times: int | None = 1, **conditions: object) -> Fault:
        """Do everything, then reset the connection instead of replying."""
        return self._add("reset_after_commit", times, conditions)

    def delay_before_commit(self, seconds: float, times: int | None = 1, **conditions: object) -> Fault:
        """Wait that long, then do everything, whether or not the sender is still waiting."""
        return self._add("delay_before_commit", times, conditions, seconds=seconds)

    def delay_after_commit(self, seconds: float, times: int | None = 1, **conditions: object) -> Fault:
        """Do everything, then wait that long before replying."""
        return self._add("delay_after_commit", times, conditions, seconds=seconds)

    def drip(self, seconds: float, times: int | None = 1, **conditions: object) -> Fault:
        """Do everything, then send the reply's body byte by byte, one every `seconds`."""
        return self._add("drip", times, conditions, seconds=seconds)

    def page(
        self,
        times: int | None = 1,
        *,
        status: int = 200,
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        echo: bool = False,
        **conditions: object,
    ) -> Fault:
        """Answer with a page that is not CRM's, without doing anything. `echo`: the page repeats the request."""
        content = body.encode() if isinstance(body, str) else body
        page = Page(status, content or Page.body, headers or Page().headers, echo)
        return self._add("page", times, conditions, page=page)

    def expire_token(self, times: int | None = 1, **conditions: object) -> Fault:
        """Answer 401, because the token has expired. So have all tokens that were issued until then."""
        return self._add("expire_token", times, conditions)

    def expire_tokens(self) -> None:
        """Make all tokens that were issued until now expire."""
        if self.on_expire is not None:
            self.on_expire()

    def error(
        self,
        times: int | None = 1,
        *,
        code: str = "0x80040216",
        message: str = "An unexpected error occurred.",
        status: int = 400,
        **conditions: object,
    ) -> Fault:
        """Refuse an operation that fits (`order`, `method`, `path`) with this error."""
        return self._add("error", times, conditions, error=CrmError(status, code, message))

    def deadlock(self, times: int | None = 1, **conditions: object) -> Fault:
        """Let an operation that fits lose a deadlock: SQL error 1205."""
        return self._add("deadlock", times, conditions, error=deadlock())

    def spoil(self, change: Callable[[bytes], bytes], times: int | None = 1, **conditions: object) -> Fault:
        """Do everything, then reply with what `change` makes of the reply's body."""
        return self._add("spoil", times, conditions, change=change)

    def spoil_part(self, change: Callable[[bytes], bytes], times: int | None = 1, **conditions: object) -> Fault:
        """Like `spoil`, for the reply to one operation that fits, by itself or within a batch."""
        return self._add("spoil_part", times, conditions, change=change)

    def clear(self) -> None:
        """Remove all faults and the latency."""
        with self._lock:
            self.waiting.clear()
        self.latency()

    # ------------------------------------------------ used by the server

    def _add(self, what: str, times: int | None, conditions: dict[str, object], **more: object) -> Fault:
        fault = Fault(what, times, **{**conditions, **more})  # type: ignore[arg-type]
        if fault.kind not in (None, "read", "write", "batch", "login"):
            raise ValueError(f"kind is read, write, batch or login, not {fault.kind!r}")
        with self._lock:
            self.waiting.append(fault)
        return fault

    def from_json(self, spec: dict[str, object]) -> Fault | None:
        """`{"fault": "throttle", "times": 2, "kind": "write"}` as the control endpoint takes it."""
        spec = dict(spec)
        name = str(spec.pop("fault", ""))
        if name == "latency":
            self.latency(float(str(spec.get("seconds", 0))), per_operation=float(str(spec.get("per_operation", 0))))
            return None
        if name == "expire_tokens":
            self.expire_tokens()
            return None
        if name not in KINDS:
            raise ValueError(f"fault is one of {', '.join((*KINDS, 'latency', 'expire_tokens'))}, not {name!r}")
        added = getattr(self, name)(**spec)
        assert isinstance(added, Fault)
        return added

    def strike(self, seen: Seen, *what: str) -> Fault | None:
        """The first fault of these kinds that fits, counted as having struck."""
        if not self.waiting:
            return None
        with self._lock:
            for fault in self.waiting:
                if fault.what not in what or not fault.fits(seen):
                    continue
                if fault.passed < fault.skip:
                    fault.passed += 1
                    continue
                fault.fired += 1
                if fault.spent:
                    self.waiting.remove(fault)
                return fault
        return None

    def has(self, *what: str) -> bool:
        return any(fault.what in what for fault in self.waiting)
