"""Records of one table that name each other: which of them go first, and which can never go. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Waves:
    """The wave of each record that is not in the first one, and the records that name each other in a circle."""

    numbers: Mapping[str, int] = field(default_factory=dict)
    loops: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """A record in a circle → the circle's records."""

    def of(self, record: str) -> int:
        return self.numbers.get(record, 0)

    @property
    def count(self) -> int:
        return max(self.numbers.values(), default=0) + 1


def waves(named: Mapping[str, Collection[str]]) -> Waves:
    """`named`: for each record the others that have to be there before it. What is not a record itself is no matter."""
    waiting = {record: {other for other in others if other in named} for record, others in named.items()}
    followers: dict[str, list[str]] = {}
    for record, others in waiting.items():
        for other in others:
            followers.setdefault(other, []).append(record)
    loops = _loops(waiting, followers)
    open_ = {record: len(others) for record, others in waiting.items() if record not in loops}
    ready = [*loops, *(record for record, count in open_.items() if not count)]
    numbers = dict.fromkeys(ready, 0)
    while ready:
        record = ready.pop()
        for follower in followers.get(record, ()):
            if follower in open_:
                numbers[follower] = max(numbers.get(follower, 0), numbers[record] + 1)
                open_[follower] -= 1
                if not open_[follower]:
                    ready.append(follower)
    return Waves({record: number for record, number in numbers.items() if number}, loops)


def _loops(
    waiting: Mapping[str, Collection[str]], followers: Mapping[str, Collection[str]]
) -> dict[str, tuple[str, ...]]:
    """What is left when those that wait for nobody are taken away again and again, and then those nobody waits for."""
    left = _without_ends(set(waiting), waiting, followers)
    left = _without_ends(left, followers, waiting)
    found: dict[str, tuple[str, ...]] = {}
    for record in sorted(left):
        if record not in found:
            circle, reached = [], [record]
            while reached:
                each = reached.pop()
                if each not in circle:
                    circle.append(each)
                    reached += [other for other in waiting[each] if other in left]
            found.update({each: tuple(sorted(circle)) for each in circle if each not in found})
    return found


def _without_ends(
    records: set[str], before: Mapping[str, Collection[str]], after: Mapping[str, Collection[str]]
) -> set[str]:
    """The records without those that have nothing before them among the others."""
    counts = {record: sum(other in records for other in before.get(record, ())) for record in records}
    ends = [record for record, count in counts.items() if not count]
    left = set(records)
    while ends:
        record = ends.pop()
        left.discard(record)
        for other in after.get(record, ()):
            if other in left:
                counts[other] -= 1
                if not counts[other]:
                    ends.append(other)
    return left
