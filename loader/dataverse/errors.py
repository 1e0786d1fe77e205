"""CRM's answers that are not success, and which of them are worth another try."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

from loader.secrets import excerpt, redact

DUPLICATE_ID = "0x80040237"
VERSION_MISMATCH = "0x80060882"
GONE = "0x80040217"

# The one to share with is disabled, lacks the privileges, is the owner, or is a team that CRM manages itself.
SHARE_REFUSED = {"0x80040225", "0x80040231", "0x80040214", "0x80048339"}

# Deadlock and time-out inside CRM's own database: rolled back, and gone at the next try (dataverse facts 3.10).
_PASSING = {"0x80044150", "0x80044151", "0x80044152", "0x8004a112"}
_THROTTLED = {"0x80072321", "0x80072322", "0x80072326"}


@dataclass(frozen=True)
class CrmError:
    """An error reply: HTTP status, Dataverse's code (`0x…`, may be blank on old versions) and its text."""

    status: int
    code: str
    message: str
    retry_after: float | None = None
    request_id: str | None = None

    @property
    def is_throttled(self) -> bool:
        return self.status == 429 or self.code in _THROTTLED

    @property
    def is_passing(self) -> bool:
        """Not applied, and may well succeed when sent again."""
        return self.is_throttled or self.code in _PASSING or self.status in (502, 503, 504)

    @property
    def is_conflict(self) -> bool:
        """The record is not what it was when it was read: read it again."""
        return self.status == 412 or self.code in (DUPLICATE_ID, VERSION_MISMATCH, GONE)

    @property
    def is_refused(self) -> bool:
        return self.status in (401, 403)

    def __str__(self) -> str:
        return f"{self.message} ({self.code or self.status})"


def parse_error(status: int, body: bytes, headers: Mapping[str, str]) -> CrmError:
    """Reads `{"error": {"code", "message"}}`; whatever else came is quoted, shortened. No secret is left in it."""
    code, message = "", excerpt(body, 300) or f"HTTP {status}"
    try:
        error = json.loads(body)["error"]
        code, message = str(error.get("code") or ""), str(error.get("message") or message)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    lowered = {name.lower(): value for name, value in headers.items()}
    request_id = lowered.get("x-ms-service-request-id") or lowered.get("req_id")
    return CrmError(
        status,
        redact(code),
        redact(message),
        retry_after(lowered.get("retry-after"), lowered.get("date")),
        redact(request_id) if request_id else None,
    )


def retry_after(value: str | None, date: str | None = None) -> float | None:
    """Seconds to wait, from a Retry-After header in seconds or as a date; None for anything else.

    `date` is the reply's own: what counts is the server's clock, not this machine's.
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
