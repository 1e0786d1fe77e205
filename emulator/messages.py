"""Requests and replies of the Web API, as single ones and as parts of a `$batch` alike."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import simplejson

from .callers import Caller
from .errors import CrmError, bad_payload
from .store import VERSION, Ref, Row

Json = dict[str, object]
API_ROOT = re.compile(r"(?:https?://[^/]+)?/?api/data/v(?:8\.[0-2]|9\.[0-2])/", re.IGNORECASE)
JSON_TYPE = "application/json; odata.metadata=minimal"


@dataclass
class Operation:
    """A request, or one part of a batch."""

    method: str
    target: str
    """Path below the API's root, with its query."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""
    body: bytes = b""
    content_id: str | None = None
    in_change_set: bool = False

    def json(self, entity_set: str) -> Json:
        """The body, which has to be a JSON object."""
        kind = self.headers.get("content-type", "")
        if not kind.lower().startswith("application/json"):
            raise CrmError(
                415 if kind else 400,
                "0x80060888",
                f"A supported MIME type could not be found that matches the content type of the request: '{kind}'.",
            )
        return read_json(self.body, entity_set)


@dataclass(frozen=True)
class Asked:
    """An operation with who asks, its query options, and the records that its change set has made so far."""

    operation: Operation
    caller: Caller
    refs: Mapping[str, Ref]
    pairs: list[tuple[str, str]]

    @property
    def method(self) -> str:
        return self.operation.method

    def header(self, name: str) -> str | None:
        return self.operation.headers.get(name)


@dataclass
class Reply:
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    created: Ref | None = None
    seconds_per_byte: float = 0.0
    """How slowly the body is sent."""


def dump(value: object) -> bytes:
    text: str = simplejson.dumps(
        value, use_decimal=True, ensure_ascii=False, separators=(",", ":"), namedtuple_as_object=False
    )
    return text.encode()


def json_reply(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(status, {"Content-Type": JSON_TYPE, "OData-Version": "4.0", **(headers or {})}, dump(value))


def text_reply(text: str) -> Reply:
    return Reply(200, {"Content-Type": "text/plain", "OData-Version": "4.0"}, b"\xef\xbb\xbf" + text.encode())


def no_content() -> Reply:
    return Reply(204, {"OData-Version": "4.0"})


def error_reply(error: CrmError) -> Reply:
    return json_reply(error.body(), error.status, error.headers)


def relative(target: str) -> str | None:
    """A request target as a path below the API's root; None where it is not one."""
    match = API_ROOT.match(target)
    if match:
        return target[match.end() :]
    return None if target.startswith(("/", "http:", "https:")) else target


def _refuse_constant(text: str) -> object:
    raise ValueError(f"{text} is no JSON number")


def read_json(body: bytes, what: str) -> Json:
    try:
        value: Any = json.loads(body, parse_float=Decimal, parse_constant=_refuse_constant)
    except (ValueError, UnicodeDecodeError) as problem:
        raise bad_payload(what, f"Invalid JSON: {problem}") from None
    if not isinstance(value, dict):
        raise bad_payload(what, "The body is not a JSON object.")
    return value


def etag(row: Row) -> str:
    return f'W/"{row[VERSION]}"'


def etag_matches(header: str | None, row: Row) -> bool:
    if header is None:
        return False
    number = str(row[VERSION])
    return any(part.strip() in (f'W/"{number}"', f'"{number}"') for part in header.split(","))
