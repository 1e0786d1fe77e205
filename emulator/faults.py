"""Trouble on demand, counted and bounded.

Each method adds one fault and gives it back; `fired` says how often it struck. A fault strikes requests (or, for
`error` and `deadlock`, operations) that fit its conditions, `times` times; conditions:

- `method`: GET, POST, PATCH, DELETE; of a batch, POST
- `path`: a regular expression searched in the request's path and query
- `kind`: "read" (no write in it), "write" (a write in it), "batch", or "login": requests to the login service, which no
  other fault strikes
- `order`: requests that name this order, or its id
- `value`: reads that look for this value
- `skip`: let that many fitting requests pass first
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
    """What a condition sees of a request or an operation."""

    method: str
    path: str
    reads: int
    writes: int
    batch: bool
    names: Callable[[str], bool]
    """Whether it names an order."""
    targets: Sequence[str] = ()
    """The targets of its operations, each a path with its query."""
    login: bool = False
    """It is for the login service."""

    def looks_for(self, value: str) -> bool:
        """Whether a filter of one of its reads has this value, escaped or not."""
        return any(value in items for target in self.targets for items in listed(target))


def listed(target: str) -> Iterator[set[str]]:
    """The items of each list of values in a target."""
    for items in re.findall(r"PropertyValues=\[(.*?)\]\)", unquote(target)):
        yield {json.loads(item) for item in re.findall(r'"(?:[^"\\]|\\.)*"', items)}


@dataclass(frozen=True)
class Page:
    """What something else than CRM answers: a proxy, a firewall, a sign-in page for the network."""

    status: int = 200
    body: bytes = b"<html><body>Please sign in. {request}</body></html>"
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "text/html; charset=utf-8"})
    echo: bool = False
    """The request's headers and body are written in the place of `{request}`, escaped as HTML or JSON wants it."""

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
    """The faults that wait, and the latency."""

    waiting: list[Fault] = field(default_factory=list)
    latency_seconds: float = 0.0
    latency_per_operation: float = 0.0
    on_expire: Callable[[], None] | None = None
    _lock: Lock = field(default_factory=Lock)

    def latency(self, seconds: float = 0.0, *, per_operation: float = 0.0) -> None:
        """Every request takes `seconds`, and `per_operation` more for each of its operations."""
        self.latency_seconds = seconds
        self.latency_per_operation = per_operation

    def throttle(self, times: int | None = 1, *, retry_after: int | None = 1, **conditions: object) -> Fault:
        """429 with `Retry-After`, as for too many requests; nothing is done."""
        return self._add("throttle", times, conditions, retry_after=retry_after)

    def unavailable(self, times: int | None = 1, *, retry_after: int | None = None, **conditions: object) -> Fault:
        """503; nothing is done."""
        return self._add("unavailable", times, conditions, retry_after=retry_after)

    def reset_before_commit(self, times: int | None = 1, **conditions: object) -> Fault:
        """The connection is reset; nothing was done."""
        return self._add("reset_before_commit", times, conditions)

    def reset_after_commit(self, times: int | None = 1, **conditions: object) -> Fault:
        """The connection is reset instead of a reply; everything was done."""
        return self._add("reset_after_commit", times, conditions)

    def delay_before_commit(self, seconds: float, times: int | None = 1, **conditions: object) -> Fault:
        """The request is held up that long and then done, whether or not its sender still waits."""
        return self._add("delay_before_commit", times, conditions, seconds=seconds)

    def delay_after_commit(self, seconds: float, times: int | None = 1, **conditions: object) -> Fault:
        """Everything is done; the reply comes that much later."""
        return self._add("delay_after_commit", times, conditions, seconds=seconds)

    def drip(self, seconds: float, times: int | None = 1, **conditions: object) -> Fault:
        """Everything is done; the reply's body comes byte by byte, one each `seconds`."""
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
        """Something else answers, and nothing is done. `echo`: it writes the request back into its page."""
        content = body.encode() if isinstance(body, str) else body
        page = Page(status, content or Page.body, headers or Page().headers, echo)
        return self._add("page", times, conditions, page=page)

    def expire_token(self, times: int | None = 1, **conditions: object) -> Fault:
        """The request's token turns out to have expired: 401. Every token issued until then is dead."""
        return self._add("expire_token", times, conditions)

    def expire_tokens(self) -> None:
        """All tokens issued until now are dead at once."""
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
        """An operation that fits (`order`, `method`, `path`) is refused with this error."""
        return self._add("error", times, conditions, error=CrmError(status, code, message))

    def deadlock(self, times: int | None = 1, **conditions: object) -> Fault:
        """An operation that fits loses a deadlock: SQL error 1205."""
        return self._add("deadlock", times, conditions, error=deadlock())

    def spoil(self, change: Callable[[bytes], bytes], times: int | None = 1, **conditions: object) -> Fault:
        """Everything is done; what `change` makes of the reply's body arrives."""
        return self._add("spoil", times, conditions, change=change)

    def spoil_part(self, change: Callable[[bytes], bytes], times: int | None = 1, **conditions: object) -> Fault:
        """As `spoil`, for the reply to an operation that fits, on its own or within a batch."""
        return self._add("spoil_part", times, conditions, change=change)

    def clear(self) -> None:
        """No faults, no latency."""
        with self._lock:
            self.waiting.clear()
        self.latency()

    # ------------------------------------------------ used by the server

    def _add(self, what: str, times: int | None, conditions: dict[str, object], **more: object) -> Fault:
        fault = Fault(what, times, **{**conditions, **more})  # type: ignore[arg-type]
        if fault.kind not in (None, "read", "write", "batch", "login"):
            raise ValueError(f"kind is read, write or batch, or login, not {fault.kind!r}")
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
        """The first waiting fault of these kinds that fits; it has struck."""
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
