"""When two keys are the same: the one rule, in Python and in SQL.

Two keys are the same when they are equal, letter for letter, after blanks at their ends have been taken off and every
letter has been written in its own small form. Nothing else is ignored: accents, tabs, ß beside ss, full-width letters
and the long s tell keys apart. The Kelvin sign is a k and İ is an i, because those are their small forms.

`fold` gives the form in which keys are compared, `folded` is the same in SQL. CRM's own comparison, which
docs/contract.md describes, takes more texts for the same than this rule, and never fewer: `near_key` finds those.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

KEY_SEPARATOR = " / "
"""Between the columns of a key that has several."""
REFUSED = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What is not a character of XML 1.0: CRM refuses it in any text (0x80040278)."""


_PLAIN = str.maketrans({"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"})
"""Letters that Unicode does not take apart, and that some collations do."""


def fold(key: str) -> str:
    """A key in the form in which it is compared.

    Letter by letter, as databases do it: of a whole text, Python writes the last sigma of a word in a form of its own
    and İ as two characters.
    """
    if key.isascii():
        return key.rstrip(" ").lower()
    return "".join("i" if letter == "İ" else letter.lower() for letter in key.rstrip(" "))


def match_key(value: object) -> str:
    """`fold` of what CRM keeps of a key: keys of which it would hold the same text are the same."""
    return fold(sent_key(value))


def near_key(value: object) -> str:
    """The same for all keys that any organisation's collation might take for the same, and for some others.

    Without case, accents and the width of letters, and with ligatures taken apart.
    """
    text = sent_key(value).casefold()
    if text.isascii():
        return text
    letters = unicodedata.normalize("NFKD", text).casefold().translate(_PLAIN)
    return "".join(letter for letter in letters if not unicodedata.combining(letter)).rstrip(" ")


def sent_key(value: object) -> str:
    """The text by which CRM is asked for a key."""
    return cleaned(str(value)).rstrip(" ")


def cleaned(text: str) -> str:
    """The text with a blank in the place of each character that CRM refuses."""
    return text if text.isprintable() else REFUSED.sub(" ", text)


def folded(expression: str, dialect: Literal["duckdb", "sqlserver"]) -> str:
    """`fold` in SQL, of an SQL expression.

    On SQL Server the collation of the database decides neither what a small letter is (a Turkish one writes I as ı)
    nor which of them are equal.
    """
    if dialect == "duckdb":  # whose rtrim of one argument takes every kind of space
        return f"lower(rtrim({expression}, ' '))"
    undotted = f"replace(cast({expression} as nvarchar(400)) collate Latin1_General_BIN2, nchar(304), N'i')"
    return f"lower(rtrim({undotted}) collate Latin1_General_CI_AS) collate Latin1_General_BIN2"
