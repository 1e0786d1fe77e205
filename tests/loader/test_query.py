"""A value of a filter is read as it is meant, by whichever version of OData's lexer the service has."""

from __future__ import annotations

from typing import get_args
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.odata_filter import In, parse_filter
from emulator.values import ListLexer
from loader.dataverse.query import IN_LIMIT, chunks, definition_of, rows_where_in

TELLING = st.text(st.sampled_from("'\"[]{}()\\,;%&+#=:/ aé\u202e\ud83d\U0001f600\x00\n"), min_size=1, max_size=8)


def condition(path: str) -> str:
    return dict(parse_qsl(path.partition("?")[2], errors="strict"))["$filter"]


@given(st.lists(TELLING | st.text(min_size=1, max_size=30), min_size=1, max_size=5))
def test_every_version_of_the_lexer_reads_the_same_values(values: list[str]) -> None:
    text = condition(rows_where_in("accounts", "accountnumber", values, ["accountid"]))
    for lexer in get_args(ListLexer):
        node = parse_filter(text, lexer=lexer)
        assert isinstance(node, In)
        assert list(node.values) == values


@pytest.mark.parametrize("value", ["ORD-1", "[[[[[[[[[[[[[[[[[[[[[", "'" * 21, "\U0001f600" * 10, "é" * 21])
def test_a_filter_of_many_values_fits_into_a_url(value: str) -> None:
    values = [f"{value}{number:04}"[-21:] for number in range(2_000)]
    parts = list(chunks(values))
    assert [each for part in parts for each in part] == values
    assert max(map(len, parts)) <= IN_LIMIT
    assert max(len(rows_where_in("salesorders", "name", part, ["name"])) for part in parts) < 60_000


def test_values_without_marks_go_by_five_hundred() -> None:
    assert [len(part) for part in chunks(f"ORD{number:018}" for number in range(1_100))] == [500, 500, 100]


def test_a_table_s_name_stays_in_its_quotes() -> None:
    assert definition_of("o'x)?$top=1") == "EntityDefinitions(LogicalName='o%27%27x%29%3F%24top%3D1')"
