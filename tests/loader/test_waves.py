"""Records that name others of their own table go after them; those in a circle, and what hangs on them, do not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loader.sync.waves import waves

KEYS = st.sampled_from("abcdefgh")
NAMED = st.dictionaries(KEYS, st.sets(KEYS, max_size=3))


def reached(named: dict[str, set[str]], record: str) -> set[str]:
    """What has to be there before a record, directly or not, as far as it is a record."""
    found: set[str] = set()
    left = [record]
    while left:
        for other in named[left.pop()] & named.keys():
            if other not in found:
                found.add(other)
                left.append(other)
    return found


@given(NAMED)
def test_every_record_comes_after_those_that_it_names(named: dict[str, set[str]]) -> None:
    found = waves(named)
    for record, others in named.items():
        if record not in found.loops:
            assert all(found.of(other) < found.of(record) for other in others & named.keys())
    assert all(found.of(record) < found.count for record in named)


@given(NAMED)
def test_loops_are_the_records_that_need_each_other_and_no_wave_is_empty(named: dict[str, set[str]]) -> None:
    found = waves(named)
    in_circles = {record for record in named if record in reached(named, record)}
    assert found.loops.keys() >= in_circles
    between = found.loops.keys() - in_circles
    assert all(reached(named, record) & in_circles for record in between), "such a record joins two circles"
    for record, circle in found.loops.items():
        assert record in circle
        assert set(circle) <= found.loops.keys()
    assert {found.of(record) for record in named} >= set(range(found.count if named else 0))


def test_a_record_that_names_itself_is_a_loop_and_one_nobody_stages_is_no_matter() -> None:
    found = waves({"a": {"a"}, "b": {"a"}, "c": {"elsewhere"}})
    assert found.loops == {"a": ("a",)}
    assert (found.of("b"), found.of("c"), found.count) == (1, 0, 2)
