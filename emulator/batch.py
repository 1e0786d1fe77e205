"""`$batch`: multipart text in, operations out; replies in, multipart text out. Running them is `run_batch`.

The format is as strict as the service's: lines end with CRLF, each part is one HTTP request, change sets hold no reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from uuid import uuid4

from .errors import CrmError, bad_request
from .messages import Operation, Reply, error_reply, relative
from .store import Ref, Store

MAX_OPERATIONS = 1000
URL_LIMIT = 65_536
METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE")
_BOUNDARY = re.compile(r'boundary="?([^";,\s]+)"?', re.IGNORECASE)
_REASONS = {
    200: "OK",
    201: "Created",
    204: "No Content",
    304: "Not Modified",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    412: "Precondition Failed",
    413: "Payload Too Large",
    414: "URI Too Long",
    415: "Unsupported Media Type",
    429: "Too Many Requests",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
}


@dataclass
class ChangeSet:
    operations: list[Operation] = field(default_factory=list)


def boundary_of(content_type: str) -> str:
    match = _BOUNDARY.search(content_type)
    if not match or not content_type.lower().startswith("multipart/mixed"):
        raise bad_request(
            f"Invalid Content-Type header value '{content_type}': a batch is 'multipart/mixed' with a 'boundary'."
        )
    return match.group(1)


def parse_batch(body: bytes, content_type: str) -> list[Operation | ChangeSet]:
    """The operations and change sets of a batch, in order. Refuses a malformed batch as a whole."""
    items: list[Operation | ChangeSet] = []
    total = 0
    for headers, content in _parts(body, boundary_of(content_type)):
        kind = headers.get("content-type", "")
        if kind.lower().startswith("multipart/mixed"):
            change_set = ChangeSet([_operation(*part, True) for part in _parts(content, boundary_of(kind))])
            _check_change_set(change_set)
            total += len(change_set.operations)
            items.append(change_set)
        else:
            items.append(_operation(headers, content, False))
            total += 1
        if total > MAX_OPERATIONS:
            raise bad_request(
                "The current batch message contains too many parts. A maximum number of "
                f"'{MAX_OPERATIONS}' operations are allowed in a batch message."
            )
    if not items:
        raise bad_request("The batch message holds no operation.")
    return items


def _check_change_set(change_set: ChangeSet) -> None:
    if len(change_set.operations) > MAX_OPERATIONS:
        raise bad_request(
            "The current change set contains too many operations. A maximum number of "
            f"'{MAX_OPERATIONS}' operations are allowed in a change set."
        )
    seen: set[str] = set()
    for operation in change_set.operations:
        if operation.method == "GET":
            raise bad_request(
                "An invalid HTTP method 'GET' was detected for a request in a change set. Requests in change sets "
                "only support the HTTP methods 'POST', 'PUT', 'DELETE', and 'PATCH'."
            )
        if operation.content_id is None:
            raise bad_request("The header with name 'Content-ID' was not present in an operation of a change set.")
        if operation.content_id in seen:
            raise bad_request(
                f"The content ID '{operation.content_id}' was found more than once in the same change set. Content "
                "IDs have to be unique across all operations of a change set for OData V4.0."
            )
        seen.add(operation.content_id)


def _parts(body: bytes, boundary: str) -> Iterable[tuple[dict[str, str], bytes]]:
    """The parts between `--boundary` lines: headers and content."""
    mark = b"--" + boundary.encode()
    if not body.startswith(mark):
        _, found, rest = body.partition(b"\r\n" + mark)
        if not found:
            raise bad_request(f"The batch message has no part: the line '--{boundary}', ended by CR LF, was not found.")
        body = mark + rest
    sections = body[len(mark) :].split(b"\r\n" + mark)
    for number, section in enumerate(sections):
        if section.startswith(b"--"):
            return
        if not section.startswith(b"\r\n"):
            raise bad_request("A line of the batch message does not end with CR LF.")
        if number == len(sections) - 1:
            raise bad_request(f"The batch message is not ended by '--{boundary}--'.")
        head, found, content = section[2:].partition(b"\r\n\r\n")
        if not found:
            raise bad_request("A part of the batch message has no empty line after its headers, ended by CR LF.")
        yield _headers(head), content


@lru_cache(maxsize=4096)
def _headers(head: bytes) -> dict[str, str]:
    headers = {}
    for line in head.decode("utf-8", "replace").split("\r\n"):
        name, found, value = line.partition(":")
        if not found or "\n" in line:
            raise bad_request(f"The message header '{line}' is invalid: expected 'name: value', ended by CR LF.")
        headers[name.strip().lower()] = value.strip()
    return headers


def _operation(headers: Mapping[str, str], content: bytes, in_change_set: bool) -> Operation:
    kind = headers.get("content-type", "")
    if not kind.lower().startswith("application/http"):
        raise bad_request(
            f"An invalid Content-Type header value '{kind}' was found in a part: expected 'application/http' or "
            "'multipart/mixed'."
        )
    if headers.get("content-transfer-encoding", "").lower() != "binary":
        raise bad_request("Content-Transfer-Encoding of a part must be 'binary'.")
    head, found, body = content.partition(b"\r\n\r\n")
    if not found:
        head, body = content.removesuffix(b"\r\n"), b""
    line, _, rest = head.decode("utf-8", "replace").partition("\r\n")
    method, _, target = line.partition(" ")
    target, _, version = target.rpartition(" ")
    if method not in METHODS or not target or version != "HTTP/1.1" or "\n" in line:
        raise bad_request(
            f"The request line '{line[:200]}' is invalid. The request line must be of the format "
            "'HTTP-Method Request-URI HTTP-Version'."
        )
    if len(target) > URL_LIMIT:
        raise CrmError(414, "0x80060888", f"The URL of an operation is longer than {URL_LIMIT} characters.")
    path = relative(target)
    if path is None:
        raise bad_request(f"The request URI '{target[:200]}' is not below the service root.")
    return Operation(
        method=method,
        target=path,
        headers=_headers(rest.encode()) if rest else {},
        body=body.strip(b"\r\n") if body else b"",
        content_id=headers.get("content-id") or None,
        in_change_set=in_change_set,
    )


# ---------------------------------------------------------------- run

Run = Callable[[Operation, Mapping[str, Ref]], Reply]


def run_batch(
    items: list[Operation | ChangeSet], run: Run, store: Store, continue_on_error: bool
) -> tuple[int, bytes, str]:
    """Runs the batch in order. Returns the outer status, the body and its content type."""
    boundary = f"batchresponse_{uuid4()}"
    mark = f"--{boundary}\r\n".encode()
    out: list[bytes] = []
    status = 200
    for item in items:
        out.append(mark)
        if isinstance(item, ChangeSet):
            failure = _run_change_set(item, run, store, out)
        else:
            reply = _run_one(item, run, store)
            _write(out, reply, item.content_id)
            failure = reply.status if reply.status >= 400 else None
        if failure is not None and not continue_on_error:
            status = failure
            break
    out.append(f"--{boundary}--\r\n".encode())
    return status, b"".join(out), f"multipart/mixed; boundary={boundary}"


def _run_one(operation: Operation, run: Run, store: Store) -> Reply:
    try:
        with store.transaction():
            return run(operation, {})
    except CrmError as error:
        return error_reply(error)


def _run_change_set(change_set: ChangeSet, run: Run, store: Store, out: list[bytes]) -> int | None:
    boundary = f"changesetresponse_{uuid4()}"
    mark = f"--{boundary}\r\n".encode()
    out.append(f"Content-Type: multipart/mixed; boundary={boundary}\r\n\r\n".encode())
    refs: dict[str, Ref] = {}
    replies: list[bytes] = []
    operation = change_set.operations[0] if change_set.operations else None
    failure = None
    try:
        with store.transaction():
            for operation in change_set.operations:
                reply = run(operation, refs)
                if reply.created is not None and operation.content_id:
                    refs[operation.content_id] = reply.created
                replies.append(mark)
                _write(replies, reply, operation.content_id)
    except CrmError as error:
        failure = error.status
        replies = [mark]
        _write(replies, error_reply(error), operation.content_id if operation else None)
    out.extend(replies)
    out.append(f"--{boundary}--\r\n".encode())
    return failure


def _write(out: list[bytes], reply: Reply, content_id: str | None) -> None:
    lines = ["Content-Type: application/http", "Content-Transfer-Encoding: binary"]
    if content_id is not None:
        lines.append(f"Content-ID: {content_id}")
    lines += ["", f"HTTP/1.1 {reply.status} {_REASONS.get(reply.status, 'Unknown')}"]
    if reply.status >= 400:
        lines.append(f"REQ_ID: {uuid4()}")
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    lines += ["", ""]
    out.append("\r\n".join(lines).encode())
    out.append(reply.body)
    out.append(b"\r\n")
