"""CRM's error replies, and which of them are worth another try."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from loader.dataverse.replies import UnexpectedReply, first_words, parsed
from loader.secrets import redact

DUPLICATE_ID = "0x80040237"
VERSION_MISMATCH = "0x80060882"
GONE = "0x80040217"

# The user or team to share with is disabled, lacks the privileges, is the owner, or is a team that CRM manages itself.
_SHARE_REFUSED = {"0x80040225", "0x80040231", "0x80040214", "0x80048339"}
_PRIVILEGE_DENIED = "0x80040220"

# Deadlock and time-out in CRM's own database: rolled back, and worth another try (docs/dataverse.md, "Batches").
_PASSING = {"0x80044150", "0x80044151"}
_THROTTLED = {"0x80072321", "0x80072322", "0x80072326"}


@dataclass(frozen=True)
class CrmError:
    """An error reply: HTTP status, Dataverse's code (`0x…`, sometimes blank in old versions) and its text."""

    status: int
    code: str
    message: str
    retry_after: float | None = None
    request_id: str | None = None
    is_foreign: bool = False
    """The reply does not have Dataverse's form: a server on the way has answered, not CRM."""
    content_id: str | None = None
    """The number, within the request, of the operation of a change set that was refused."""

    @property
    def is_throttled(self) -> bool:
        return self.status == 429 or self.code in _THROTTLED

    @property
    def is_passing(self) -> bool:
        """Whether the request was not applied and may succeed when it is sent again."""
        is_outage = self.status in (502, 503, 504) or (self.is_foreign and self.status >= 500)
        return self.is_throttled or self.code in _PASSING or is_outage

    @property
    def is_too_large(self) -> bool:
        """Whether a server on the way found the request too large, so that a smaller one may pass."""
        return self.status in (413, 414)

    @property
    def is_conflict(self) -> bool:
        """Whether the record has changed since it was read, and has to be read again."""
        return self.status == 412 or self.code in (DUPLICATE_ID, VERSION_MISMATCH, GONE)

    @property
    def is_refused(self) -> bool:
        return self.status in (401, 403)

    def refuses_share(self, principal: str) -> bool:
        """Whether CRM only refuses to share the record with this user or team, and accepts everything else."""
        if self.code == _PRIVILEGE_DENIED:  # the privilege of the caller, or of the user or team that the text names
            return principal.lower() in self.message.lower()
        return self.code in _SHARE_REFUSED

    def __str__(self) -> str:
        return self.message if self.is_foreign else f"{self.message} ({self.code or self.status})"


def parse_error(status: int, body: bytes, headers: Mapping[str, str]) -> CrmError:
    """Reads `{"error": {"code", "message"}}`. For any other reply, the message says who sent it and how it begins.

    Secrets are removed.
    """
    lowered = {name.lower(): value for name, value in headers.items()}
    request_id = lowered.get("x-ms-service-request-id") or lowered.get("req_id")
    parts = _code_and_message(body)
    if parts is None:
        code, message = "", _foreign(status, body, lowered)
    else:
        code, message = parts[0], parts[1] or f"HTTP {status}"
    return CrmError(
        status,
        redact(code),
        redact(message),
        retry_after(lowered.get("retry-after"), lowered.get("date")),
        redact(request_id) if request_id else None,
        is_foreign=parts is None,
        content_id=lowered.get("content-id"),
    )


def _code_and_message(body: bytes) -> tuple[str, str] | None:
    """Code and message of a reply that has Dataverse's form; None for any other."""
    try:
        error = parsed(body).get("error")
    except UnexpectedReply:
        return None
    if not isinstance(error, dict) or not {"code", "message"} & error.keys():
        return None
    return str(error.get("code") or ""), str(error.get("message") or "")


def _foreign(status: int, body: bytes, headers: Mapping[str, str]) -> str:
    try:
        phrase = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        phrase = str(status)
    server = headers.get("server") or headers.get("via")
    words = first_words(body)
    return f"{phrase}{f' from {server}' if server else ''}, {f'beginning {words!r}' if words else 'without a text'}"


def retry_after(value: str | None, date: str | None = None) -> float | None:
    """Seconds to wait, from a Retry-After header in seconds or as a date; None for anything else.

    `date` is the reply's own date, because the server's clock counts, not this machine's.
    """
    text = (value or "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
        return float(text)
    until = _moment(text)
    if until is None:
        return None
    return max(0.0, (until - (_moment(date or "") or datetime.now(timezone.utc))).total_seconds())


def _moment(text: str) -> datetime | None:
    """An HTTP date; one without a zone is UTC."""
    try:
        moment = parsedate_to_datetime(text)
        return moment.astimezone(timezone.utc) if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
