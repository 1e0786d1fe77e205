"""JSON for CRM and for DuckDB: whatever comes in comes out of a reader as it was."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal

import pytest
import simplejson
from hypothesis import given
from hypothesis import strategies as st

from loader.compact_json import compact

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(st.characters()),
    st.decimals(allow_nan=False, allow_infinity=False),
)


@given(st.recursive(VALUES, lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner)))
def test_values_come_back_as_they_were(content: object) -> None:
    assert simplejson.loads(compact(content).decode(), use_decimal=True) == content


@pytest.mark.parametrize("text", ["0.10", "1E+3", "-0.00000", "12345678901234567890.12345"])
def test_decimals_are_written_digit_by_digit(text: str) -> None:
    assert compact([Decimal(text)]) == f"[{text}]".encode()


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb"])
def test_an_unpaired_surrogate_is_escaped(text: str) -> None:
    assert json.loads(compact({"name": text, "amount": Decimal("1.50")})) == {"name": text, "amount": 1.5}


def test_other_values_need_a_default() -> None:
    day = dt.datetime(2026, 4, 1, 6, 30)
    assert compact((day, 1), default=str) == b'["2026-04-01 06:30:00",1]'
    with pytest.raises(TypeError, match="datetime"):
        compact([day])
