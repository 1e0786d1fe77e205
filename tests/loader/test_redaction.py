"""No known secret survives in a message, however a server wrote it back."""

from __future__ import annotations

import html
import json
import logging
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loader.dataverse.errors import parse_error
from loader.dataverse.replies import first_words
from loader.errors import LoaderError
from loader.report.output import JsonLines
from loader.secrets import Secret, excerpt, redact

TOKEN = "abc.DEF-123_456~789"
ENCODINGS: dict[str, Callable[[str], str]] = {
    "as it is": lambda text: text,
    "in a URL": lambda text: quote(text, safe=""),
    "in a URL, in small letters": lambda text: quote(text, safe="").replace("%2F", "%2f").replace("%3D", "%3d"),
    "in a form": quote_plus,
    "in HTML": html.escape,
    "in HTML by number": lambda text: "".join(c if c.isalnum() and c.isascii() else f"&#{ord(c)};" for c in text),
    "in HTML by hexadecimal number": lambda text: "".join(
        c if c.isalnum() and c.isascii() else f"&#x{ord(c):x};" for c in text
    ),
    "in JSON": lambda text: json.dumps(text)[1:-1],
    "in JSON with slashes escaped": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "in JSON of .NET": lambda text: "".join(
        c if (c.isalnum() and c.isascii()) or ord(c) > 0xFFFF else f"\\u{ord(c):04X}" for c in text
    ),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@settings(deadline=None)
@given(secret=st.text(st.characters(codec="utf-8", max_codepoint=0xFFFF, exclude_categories=("Cc", "Cs")), min_size=4))
def test_a_secret_is_found_in_every_encoding(encoding: str, secret: str) -> None:
    kept = Secret(secret)
    assert redact(f"\n{ENCODINGS[encoding](secret)}\n") == "\n***\n"
    assert kept


def test_text_without_a_secret_stays() -> None:
    kept = Secret(TOKEN)
    assert redact("abc.DEF-123_456~78 and the rest") == "abc.DEF-123_456~78 and the rest"
    assert redact(f"a{TOKEN}b {TOKEN}") == "a***b ***"
    assert kept


def test_a_signed_token_is_removed_whoever_issued_it() -> None:
    token = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJodHRwczovL2NybSJ9.c2lnbmF0dXJl-_x"
    assert redact(f"Authorization: Bearer {token}, more") == "Authorization: Bearer ***, more"


def test_a_secret_is_forgotten_with_the_run_that_used_it() -> None:
    kept, other = Secret("hunter2"), Secret("hunter2")
    del kept
    assert redact("hunter2") == "***"
    del other
    assert redact("hunter2") == "hunter2"


def test_the_longer_of_two_secrets_goes_whole() -> None:
    kept = Secret("hunter2"), Secret("hunter2+more")
    assert redact("hunter2+more") == "***"
    assert kept


def test_a_secret_that_the_cut_would_halve_is_gone_before() -> None:
    kept = Secret(TOKEN)
    assert excerpt(b"x" * 50 + TOKEN.encode() + b"y" * 50, 60) == "x" * 50 + "***" + "y" * 7
    error = parse_error(502, b"x" * 290 + TOKEN.encode(), {"REQ_ID": TOKEN})
    assert TOKEN[:4] not in str(error)
    assert error.request_id == "***"
    assert kept


@pytest.mark.parametrize("before", range(3980, 4000))
def test_a_long_page_that_is_cut_shows_no_part_of_a_secret(before: int) -> None:
    kept = Secret(TOKEN)
    page = b"<" + b"i" * (before - 2) + b">" + TOKEN.encode() + b"<p>more</p>" * 9
    assert TOKEN[:3] not in first_words(page)
    assert kept


def test_errors_and_log_lines_hold_none() -> None:
    kept = Secret(TOKEN)
    assert TOKEN not in str(LoaderError(f"refused: {TOKEN}")) + LoaderError(f"refused: {TOKEN}").message
    try:
        raise ValueError(TOKEN)
    except ValueError as error:
        trace = (type(error), error, error.__traceback__)
    record = logging.LogRecord("msal", logging.ERROR, __file__, 1, "answer: %s", (TOKEN,), trace)
    line = json.loads(JsonLines().format(record))
    assert line["message"] == "answer: ***"
    assert "ValueError: ***" in line["trace"]
    assert kept


def test_a_signal_that_comes_while_a_text_is_redacted_is_told_of_too() -> None:
    said: list[str] = []

    class Interrupted(Secret):
        """Its thread gets a signal while it looks at the secrets that are in use."""

        __slots__ = ()

        def reveal(self) -> str:
            if not said:
                said.append("")
                said.append(redact("handled: very-secret-7"))
            return super().reveal()

    secret = Interrupted("very-secret-7")
    assert redact("very-secret-7") == str(secret)
    assert said[1] == f"handled: {secret}"
