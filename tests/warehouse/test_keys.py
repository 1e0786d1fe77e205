"""When two keys are the same: Python, both warehouses' SQL, the models' macros and the emulator hold to one rule."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator.store import fold as crm_fold
from loader.keys import fold, folded, match_key, near_key
from loader.warehouse.connection import Warehouse
from tests.conftest import PROJECT
from tests.warehouse.warehouse_places import Place

CODE_PAGES = [874, 932, *range(1250, 1259)]
"""Windows' code pages, whose letters are all that GP's columns of type char can hold."""
LETTERS = "".join(
    dict.fromkeys(
        letter
        for page in CODE_PAGES
        for byte in range(32, 256)
        for letter in bytes([byte]).decode(f"cp{page}", "ignore")
        if letter.isprintable()
    )
)
ODD = "ßẞİıiKkKſsＡａÅåΣσςéÉêÊŒœÆæ\t \u00a0\u0307"
PARTS = [*ODD, "SS", "ss", "e\u0301", "ＡＢ", "  ", "\t ", " \t"]

keys = st.lists(st.sampled_from(PARTS) | st.sampled_from(LETTERS), max_size=12).map("".join)


def in_sql(warehouse: Warehouse, text: str) -> str:
    given = "cast(? as varchar)" if warehouse.dialect == "duckdb" else "cast(? as nvarchar(400))"
    ((found,),) = warehouse.query(f"select {folded(given, warehouse.dialect)}", [text])
    return str(found)


@pytest.mark.parametrize(
    ("one", "other", "same", "same_in_crm"),
    [
        ("ORD1", "ord1", True, True),
        ("ORD1", "ORD1   ", True, True),
        ("ORD1", " ORD1", False, False),
        ("ORD1", "ORD1\t", False, False),
        ("ÉCLAIR", "éclair", True, True),
        ("ÉCLAIR", "ECLAIR", False, True),
        ("É", "E\u0301", False, True),
        ("STRASSE", "straße", False, True),
        ("STRAẞE", "straße", True, True),
        ("İ", "i", True, True),
        ("I", "ı", False, True),
        ("\u212a1", "k1", True, True),
        ("ＡＢ１", "ａｂ１", True, True),
        ("ＡＢ１", "AB1", False, True),
        ("ſ1", "s1", False, True),
        ("ΟΔΟΣ", "οδοσ", True, True),
        ("ΟΔΟΣ", "οδος", False, True),
        ("ŒUVRE", "oeuvre", False, True),
    ],
)
def test_when_two_keys_are_the_same(warehouse: Warehouse, one: str, other: str, same: bool, same_in_crm: bool) -> None:
    assert (fold(one) == fold(other)) is same
    assert (match_key(one) == match_key(other)) is same
    assert (crm_fold(one) == crm_fold(other)) is same_in_crm
    assert near_key(one) == near_key(other) or not same_in_crm
    if warehouse.dialect == "duckdb" or "Σ" not in one:
        assert (in_sql(warehouse, one) == in_sql(warehouse, other)) is same


@given(text=keys)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
def test_python_and_sql_write_a_key_in_the_same_form(warehouse: Warehouse, text: str) -> None:
    if warehouse.dialect == "sqlserver":  # it may write the last sigma of a word in a form of its own
        text = text.replace("Σ", "σ")
    assert in_sql(warehouse, text) == fold(text)


@given(text=keys, other=keys)
def test_keys_that_are_the_same_are_the_same_to_crm(text: str, other: str) -> None:
    """Otherwise CRM would not find a record by a key that is the same, and a second one would be made."""
    for same in (text.lower(), text.upper(), text + "  ", fold(text), other):
        if fold(same) == fold(text):
            assert crm_fold(same) == crm_fold(text)
        if crm_fold(same) == crm_fold(text):
            assert near_key(same) == near_key(text)


@given(text=keys)
def test_the_form_of_a_key_is_its_own_form(text: str) -> None:
    assert fold(fold(text)) == fold(text)
    assert fold(text + "   ") == fold(text)


def test_the_models_compare_keys_by_the_same_sql(place: Place) -> None:
    """On SQL Server the database's collation compares what the macro gives, and may take more keys for the same."""
    dialect = place.connect().dialect
    macro = (PROJECT / "macros" / "keys" / "folded.sql").read_text(encoding="utf-8")
    prefix = "duckdb" if dialect == "duckdb" else "default"
    found = re.search(rf"macro {prefix}__folded\(expression\) -%}}\s*(.*?)\s*{{%- endmacro", macro, re.DOTALL)
    assert found
    sql = found[1].replace("{{ expression }}", "x")
    assert sql == (folded("x", "duckdb") if dialect == "duckdb" else "lower(rtrim(x)) collate database_default")
