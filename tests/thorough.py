"""How many of many like cases the suite runs: some of each kind, or all of them where `THOROUGH=1` is set."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TypeVar

THOROUGH = os.environ.get("THOROUGH") == "1"
One = TypeVar("One")
Other = TypeVar("Other")


def some(cases: Iterable[One], one_in: int) -> list[One]:
    """The first case and every so many after it."""
    return list(cases)[:: 1 if THOROUGH else one_in]


def some_pairs(ones: Iterable[One], others: Iterable[Other], one_in: int) -> list[tuple[One, Other]]:
    """Pairs in which each of both occurs, and in turn: one in so many."""
    return [
        (one, other)
        for place, one in enumerate(ones)
        for number, other in enumerate(others)
        if THOROUGH or (place + number) % one_in == 0
    ]
