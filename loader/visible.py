"""Text for terminals, pipes, JSON and HTML in which nothing acts on the reader's terminal or turns lines around.

Names, messages and codes come from GP, from CRM and from servers: an escape sequence in a customer's name could rename
the window, hide a line or write to the clipboard; a bidirectional control could show a number the wrong way round.
"""

from __future__ import annotations

import re
import secrets
from typing import Any

import click
import simplejson

_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_HIDDEN = re.compile(f"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff{_BIDI}]")
_SHORT = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}

_SEAL = secrets.token_hex(8)
_MARK = re.compile(f"\x02{_SEAL}([a-z]*)(!?)\x03")


def visible(text: str, keep: str = "") -> str:
    """`text` with control characters (C0, DEL, C1), line and paragraph separators, bidirectional controls and lone
    surrogates as the escapes that Python writes them with. `keep` names characters to leave as they are."""
    return _HIDDEN.sub(lambda found: found[0] if found[0] in keep else _escape(found[0]), text)


def _escape(character: str) -> str:
    number = ord(character)
    return _SHORT.get(character) or (f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}")


def styled(text: str, colour: str = "", bold: bool = False) -> str:
    """`text` marked to be coloured or bold when `shown` prints it. No other text can hold such marks."""
    return f"\x02{_SEAL}{colour}{'!' if bold else ''}\x03{text}\x02{_SEAL}\x03"


def plain(line: str) -> str:
    """The line without the marks of `styled`."""
    return _MARK.sub("", line)


def shown(line: str) -> str:
    """A line as it is printed: marks of `styled` as the terminal's codes, all else visible."""
    parts = _MARK.split(line)
    text = [visible(parts[0])]
    for colour, bold, plain in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        text += [_codes(colour, bool(bold)), visible(plain)]
    return "".join(text)


def _codes(colour: str, bold: bool) -> str:
    if not (colour or bold):
        return "\x1b[0m"
    return click.style("", fg=colour or None, bold=bold or None, reset=False)


def json_text(content: Any) -> str:
    """`content` as JSON with exact decimals; what `visible` escapes is escaped as JSON does it."""
    text = simplejson.dumps(content, use_decimal=True, ensure_ascii=False, default=str)
    return _HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
