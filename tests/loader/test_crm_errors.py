"""CRM's error replies: which of them are worth another try."""

from __future__ import annotations

import pytest

from loader.dataverse.errors import CrmError


@pytest.mark.parametrize(
    ("code", "is_passing"),
    [
        ("0x80044150", True),  # deadlock
        ("0x80044151", True),  # time-out
        ("0x80044152", False),  # an inherited role is not modified
        ("0x8004a112", False),  # the user is disabled
    ],
)
def test_a_deadlock_or_time_out_of_crms_database_is_tried_again(code: str, is_passing: bool) -> None:
    assert CrmError(400, code, "refused").is_passing is is_passing
