"""What the emulator records of each request, for tests."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class RequestLog:
    """One HTTP request below the API's root."""

    method: str
    path: str
    status: int = 0
    """0 if the connection was reset."""
    operations: int = 1
    reads: int = 0
    writes: int = 0
    rows: int = 0
    """Its operations, each row of a bulk message or a deep insert counted; 0 if operations take no time."""
    user: str | None = None
    parts: list[str] = field(default_factory=list)
    """`METHOD target` of each operation, if the emulator keeps them (`keep_parts`)."""
    if_match: list[str | None] = field(default_factory=list)
    """The version that each of these operations names, if it does."""
