"""loader/reasons.py has a row for every reason that the loader gives."""

from __future__ import annotations

import re

import pytest

from loader.reasons import REASONS, reason, remedy
from tests.conftest import PROJECT

_GIVEN = re.compile(
    r"""(?:reason=|reason,\ text\ =|reason\ =|code(?:,\ policy(?:,\ text)?)?\ =|Obstacle\(|Warning\(|"failed",)\s*
    f?"(?P<code>(?:\{[\w.]+\}|\w)+)\"""",
    re.VERBOSE,
)
_SYNC = [*(PROJECT / "loader" / "sync").glob("*.py"), PROJECT / "loader" / "commands" / "push.py"]
GIVEN = sorted(
    {
        re.sub(r"\{.+?\}", "anything", match["code"])
        for path in _SYNC
        for match in _GIVEN.finditer(path.read_text(encoding="utf-8"))
    }
    - {"contract_mismatch", "lines_out_of_order"}
)


def test_codes_are_found_in_the_source() -> None:
    assert {"order_ambiguous", "value_truncated", "crm_rejected", "anything_not_found", "anything_unmapped"} <= set(
        GIVEN
    )


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
