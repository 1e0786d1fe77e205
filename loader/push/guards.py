"""Guards that stop a push before its first write."""

from __future__ import annotations

import re
from dataclasses import dataclass

from loader.errors import GuardTripped, UsageError


@dataclass(frozen=True)
class MaxChanges:
    """The guard of --max-changes: records to create or update, as a number or as percent of the staged ones."""

    limit: int
    percent: bool = False

    @classmethod
    def parse(cls, text: str) -> MaxChanges:
        match = re.fullmatch(r"\s*(\d{1,9})\s*(%?)\s*", text)
        if not match or (match[2] and int(match[1]) > 100):
            raise UsageError(f"--max-changes {text!r} is not a number or a percentage.", "Give for example 500 or 10%.")
        return cls(int(match[1]), bool(match[2]))

    def check(self, changes: int, staged: int, told: str) -> None:
        """Raises GuardTripped. `told` has the changes in words: `3 accounts, 1 order`."""
        allowed = staged * self.limit / 100 if self.percent else self.limit
        if changes > allowed:
            shown = f"{self.limit}% of {staged}" if self.percent else str(self.limit)
            raise GuardTripped(
                f"{told} would be created or updated; --max-changes allows {shown}. Nothing was written.",
                "Look at `loader plan`; raise --max-changes if that is what you want.",
            )
