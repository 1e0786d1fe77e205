"""loader/reasons.py has a row for every reason that the loader gives."""

from __future__ import annotations

import re

import pytest

from loader.reasons import REASONS, reason, remedy
from tests.conftest import PROJECT

_CODE = r"""\s*f?"((?:\{[\w.]+\}|\w)+)\""""
_GIVEN = re.compile(rf'(?:reason=|reason, text =|reason =|Obstacle\(|RecordWarning\(|"failed",){_CODE}')
_REFUSED = re.compile(rf"_refused\(field_,{_CODE}")
"""The end of a code that begins with the look-up's own word."""

_OF_MODEL = re.compile(r'(?:\.reason\(|\bblock\([\w., ]+, )"(\w+)"')
"""The end of a code that begins with the model's noun."""

_SOURCE = "\n".join(
    path.read_text(encoding="utf-8")
    for folder in ("sync", "push")
    for path in (PROJECT / "loader" / folder).glob("*.py")
)
GIVEN = sorted(
    {re.sub(r"\{.+?\}", "some", code) for code in _GIVEN.findall(_SOURCE)}
    | {f"some_{code}" for code in _OF_MODEL.findall(_SOURCE)}
    | {"some_" + re.sub(r"\{.+?\}", "other", code) for code in _REFUSED.findall(_SOURCE)}
)


def test_codes_are_found_in_the_source() -> None:
    assert {"some_ambiguous", "some_too_large", "some_loop", "some_adopted", "some_taken_over"} <= set(GIVEN)
    assert {"value_truncated", "crm_rejected", "some_unmapped", "some_inactive"} <= set(GIVEN)
    assert {"some_not_found", "some_not_of_other", "some_currency"} <= set(GIVEN)


@pytest.mark.parametrize("code", GIVEN)
def test_every_code_has_a_cause_and_a_remedy(code: str) -> None:
    row = reason(code)
    assert row is not None
    for sentence in (row.cause, row.remedy):
        assert re.fullmatch(r"[A-Z`].*\.", sentence), sentence


def test_one_row_per_code() -> None:
    codes = [row.code for row in REASONS]
    assert len(set(codes)) == len(codes)
    assert [row.code for row in REASONS if "*" not in row.code and reason(row.code) is not row] == []


def test_remedies_are_plain_text_and_blank_for_codes_of_nobody() -> None:
    assert "dbt seed" in remedy("status_unmapped")
    assert "`" not in remedy("status_unmapped")
    assert remedy("no_such_code") == ""
