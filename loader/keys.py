"""When two keys are the same: the one rule, in Python and in SQL.

Two keys are the same if they are equal, letter for letter, once blanks at the end have been removed and every letter
has been put in lower case. Nothing else is ignored: keys that differ in accents, tabs, ß and ss, full-width letters or
the long s are different. The Kelvin sign counts as k and İ as i, because those are their lower-case forms.

`fold` gives the form in which keys are compared, `folded` is the same in SQL. CRM's own comparison, which
docs/contract.md describes, treats more texts as the same than this rule, and never fewer: `near_key` finds those.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

KEY_SEPARATOR = " / "
"""Between the columns of a key that has several."""
REFUSED = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 does not allow. CRM refuses them in any text (docs/dataverse.md, "Writing records")."""


_PLAIN = str.maketrans({"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"})
"""Letters that Unicode does not decompose, but some collations do."""


def fold(key: str) -> str:
    """A key in the form in which it is compared.

    Letter by letter, as databases do it. For a whole text, Python would use a special form of sigma at the end of a
    word, and two characters for İ.
    """
    if key.isascii():
        return key.rstrip(" ").lower()
    return "".join("i" if letter == "İ" else letter.lower() for letter in key.rstrip(" "))


def match_key(value: object) -> str:
    """`fold` of the text that CRM stores for a key. Keys that CRM would store as the same text are the same."""
    return fold(sent_key(value))


def near_key(value: object) -> str:
    """A form that is equal for all keys that an organisation's collation might treat as the same, and for some others.

    It ignores case, accents and the width of letters, and decomposes ligatures.
    """
    text = sent_key(value).casefold()
    if text.isascii():
        return text
    letters = unicodedata.normalize("NFKD", text).casefold().translate(_PLAIN)
    return "".join(letter for letter in letters if not unicodedata.combining(letter)).rstrip(" ")


def sent_key(value: object) -> str:
    """The text with which CRM is searched for a key."""
    return cleaned(str(value)).rstrip(" ")


def cleaned(text: str) -> str:
    """The text with a blank in place of each character that CRM refuses."""
    return text if text.isprintable() else REFUSED.sub(" ", text)


def folded(expression: str, dialect: Literal["duckdb", "sqlserver"]) -> str:
    """`fold` in SQL, of an SQL expression.

    On SQL Server, the database's collation affects neither lower case (in a Turkish one, that of I is ı) nor which
    letters are equal.
    """
    if dialect == "duckdb":  # whose rtrim with one argument removes every kind of space
        return f"lower(rtrim({expression}, ' '))"
    undotted = f"replace(cast({expression} as nvarchar(400)) collate Latin1_General_BIN2, nchar(304), N'i')"
    return f"lower(rtrim({undotted}) collate Latin1_General_CI_AS) collate Latin1_General_BIN2"
