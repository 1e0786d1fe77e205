"""What does not belong to a value that somebody copied, or that was read from a file. Pure."""

from __future__ import annotations

import unicodedata

REMEDY = (
    "Set it to the value alone. A file is written without a line break by `printf %s`, not by `echo`; quotes belong to "
    "the shell, not into an env file that is taken as it is."
)
_QUOTES = "\"'`´‘’“”„«»"


def flaw(text: str, *, strict: bool = True) -> str | None:
    """In words, what does not belong to the value; None if there is nothing.

    `strict` also reports surrounding blanks and quotes, which a password may have.
    """
    if "\n" in text or "\r" in text:
        return f"{_place(text, chr(10) + chr(13))} a line break"
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp", "Cs"):
            return f"{_place(text, character)} an invisible character (U+{ord(character):04X})"
    if strict and text != text.strip():
        return ("begins with" if text[0].isspace() else "ends with") + " a blank"
    if strict and text and (text[0] in _QUOTES or text[-1] in _QUOTES):
        quote = text[0] if text[0] in _QUOTES else text[-1]
        return f"{_place(text, quote)} the quote {quote}"
    return None


def _place(text: str, characters: str) -> str:
    return "begins with" if text[0] in characters else "ends with" if text[-1] in characters else "holds"
