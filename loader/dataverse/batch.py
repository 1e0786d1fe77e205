"""OData `$batch`: change sets and queries to multipart/mixed and back. Pure (docs/dataverse.md, "Batches")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from loader.compact_json import compact
from loader.dataverse.errors import CrmError, parse_error
from loader.secrets import excerpt

MAX_OPERATIONS = 1000

_BATCH = "batch_gp_to_crm"
_CHANGESET = "changeset_gp_to_crm_{}"
_CRLF = b"\r\n"
_QUERY_HEADERS = {
    "Accept": "application/json",
    "Prefer": 'odata.include-annotations="Microsoft.Dynamics.CRM.lookuplogicalname"',
}


@dataclass(frozen=True)
class Operation:
    """One write: `path` is relative to the service root, `body` is JSON or nothing."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    line: tuple[Any, ...] = ()
    """The key of the line that this operation writes, so that its sender recognises it. It is not sent."""


@dataclass(frozen=True)
class ChangeSet:
    """Writes that CRM applies together or not at all."""

    operations: tuple[Operation, ...]

    def __len__(self) -> int:
        return len(self.operations)


@dataclass(frozen=True)
class Query:
    """One read; `path` is relative to the service root and already percent-encoded."""

    path: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """The answer to one operation or query. Headers are those of an error."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def error(self) -> CrmError | None:
        return None if 200 <= self.status < 300 else parse_error(self.status, self.body, self.headers)


class MalformedReply(ValueError):
    """The reply is not the multipart document that was expected."""


def encode(parts: Sequence[ChangeSet | Query], root: str) -> tuple[str, bytes]:
    """Content type and body of a `$batch` request. `root` is the service root, ending in a slash."""
    lines: list[bytes] = []
    for number, part in enumerate(parts, 1):
        lines.append(f"--{_BATCH}".encode())
        if isinstance(part, Query):
            lines += _http("GET", root + part.path, {**_QUERY_HEADERS, **part.headers}, None, None)
            continue
        boundary = _CHANGESET.format(number)
        lines += [f"Content-Type: multipart/mixed; boundary={boundary}".encode(), b""]
        delimiter = f"--{boundary}".encode()
        for content_id, operation in enumerate(part.operations, 1):
            lines.append(delimiter)
            path = operation.path if operation.path.startswith("$") else root + operation.path
            lines += _http(operation.method, path, operation.headers, operation.body, content_id)
        lines += [f"--{boundary}--".encode(), b""]
    lines += [f"--{_BATCH}--".encode(), b""]
    return f"multipart/mixed; boundary={_BATCH}", _CRLF.join(lines)


def _http(
    method: str, url: str, headers: Mapping[str, str], body: Mapping[str, Any] | None, content_id: int | None
) -> tuple[bytes, bytes]:
    head = "Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n"
    if content_id is not None:
        head += f"Content-ID: {content_id}\r\n"
    head += f"\r\n{method} {url} HTTP/1.1\r\n"
    if body is not None:
        head += "Content-Type: application/json; charset=utf-8; type=entry\r\n"
    for name, value in headers.items():
        head += f"{name}: {value}\r\n"
    return head.encode(), b"" if body is None else compact(body)


def decode(content_type: str, body: bytes) -> list[Reply | list[Reply]]:
    """The replies in the order of the parts: a list for a change set that was applied, otherwise one reply.

    The answer to a failed change set is a single error, with or without a multipart around it. Raises MalformedReply.
    """
    replies: list[Reply | list[Reply]] = []
    for head, content in _split(content_type, body):
        kind = _headers(head).get("content-type", "")
        if kind.lower().startswith("multipart/"):
            inner = [_reply(*each) for each in _split(kind, content)]
            replies.append(next((reply for reply in inner if reply.error), inner))
        else:
            replies.append(_reply(head, content))
    return replies


def _split(content_type: str, body: bytes) -> list[tuple[bytes, bytes]]:
    """Headers and content of each part."""
    _, _, boundary = content_type.partition("boundary=")
    boundary = boundary.split(";")[0].strip().strip('"')
    if not boundary:
        raise MalformedReply(f"no boundary in {content_type!r}")
    delimiter = b"--" + boundary.encode()
    if not body.startswith(delimiter):
        _, found, body = body.partition(b"\r\n" + delimiter)
        if not found:
            raise MalformedReply("the boundary does not appear in the reply")
    else:
        body = body[len(delimiter) :]
    *parts, tail = body.split(b"\r\n" + delimiter)
    if not tail.startswith(b"--"):
        raise MalformedReply("the reply ends early")
    return [_head(part.partition(b"\r\n")[2]) for part in parts]


def _head(part: bytes) -> tuple[bytes, bytes]:
    if part.startswith(b"\r\n"):
        return b"", part[2:]
    head, _, content = part.partition(b"\r\n\r\n")
    return head, content


def _headers(head: bytes) -> dict[str, str]:
    pairs = (line.partition(":") for line in head.decode("utf-8", "replace").split("\r\n") if ":" in line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _reply(part_head: bytes, content: bytes) -> Reply:
    head, _, body = content.partition(b"\r\n\r\n")
    status_line, _, headers = head.partition(b"\r\n")
    try:
        status = int(status_line.split(b" ")[1])
    except (IndexError, ValueError):
        raise MalformedReply(f"no status line: {excerpt(status_line, 80)!r}") from None
    return Reply(status, {**_headers(part_head), **_headers(headers)} if status >= 300 else {}, body)
