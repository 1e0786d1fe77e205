"""Nothing that is printed acts on the terminal, whatever GP, CRM or a server put into it."""

from __future__ import annotations

import json
import unicodedata

import click
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loader.visible import json_text, plain, shown, styled, visible

BIDI = {chr(n) for n in (0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))}
TEXTS = st.text(st.characters(codec=None)) | st.text(
    st.sampled_from("\x00\x02\x03\x1b\x9b\n\r\t[]0m\u202e\u2028\ud800ab")
)


def acts(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in BIDI


@given(TEXTS)
@example("\x1b]0;gotcha\x07")
@example("\x9b31m")
def test_what_acts_is_escaped_and_all_else_stays(text: str) -> None:
    safe = visible(text)
    assert not any(map(acts, safe))
    assert visible(safe) == safe
    if not any(map(acts, text)):
        assert safe == text


@pytest.mark.parametrize(
    ("text", "safe"),
    [("\x1b[2J", r"\x1b[2J"), ("a\u202eb", r"a\u202eb"), ("a\r\n\tb", r"a\r\n\tb"), ("\x85", r"\x85"), ("ü €", "ü €")],
)
def test_escapes_are_those_that_people_know(text: str, safe: str) -> None:
    assert visible(text) == safe


@given(TEXTS, TEXTS, TEXTS)
def test_only_our_own_styles_reach_the_terminal(before: str, text: str, after: str) -> None:
    line = shown(before + styled(text, "red", bold=True) + after)
    assert line.count("\x1b") == 3
    assert click.unstyle(line) == visible(before) + visible(text) + visible(after)
    assert plain(before + styled(text, "red") + after) == before + text + after


@given(st.dictionaries(TEXTS, st.lists(TEXTS)))
def test_json_says_the_same_without_the_characters(content: dict[str, list[str]]) -> None:
    text = json_text(content)
    assert not any(map(acts, text))
    assert json.loads(text) == content
