"""Secrets: values that are never shown, and their removal from texts that servers wrote."""

from __future__ import annotations

import html
import re
import threading
from functools import lru_cache
from typing import NoReturn
from weakref import WeakValueDictionary

_MASK = "***"
_SHORTEST = 4
"""In characters. Replacing a shorter secret would make messages unreadable, and reveal the secret."""
_JWT = r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"
"""A signed token, whoever issued it."""


class Secret:
    """A value that is never shown: not by repr, str, format, pickle or a traceback's locals.

    For as long as it is in use, `redact` removes it from every text.
    """

    __slots__ = ("__weakref__", "_value")

    def __init__(self, value: str) -> None:
        self._value = value
        with _lock:
            _in_use[id(self)] = self

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __str__(self) -> str:
        return _MASK

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("A secret is not pickled.")


_lock = threading.RLock()
"""A signal handler redacts what it says, perhaps while the thread that it interrupts does so."""
_in_use: WeakValueDictionary[int, Secret] = WeakValueDictionary()
"""By identity, because one of two equal secrets may go out of use before the other."""


def redact(text: str) -> str:
    """`text` without any known secret, however it is encoded there (URL, HTML, JSON), and without signed tokens."""
    with _lock:
        known = frozenset(secret.reveal() for secret in _in_use.values())
    return _pattern(known).sub(_MASK, text)


def excerpt(content: bytes, length: int) -> str:
    """The beginning of what a server sent, for a message. Secrets are removed first, while they are still whole."""
    return redact(content[: 1 << 20].decode("utf-8", "replace")).strip()[:length]


@lru_cache(maxsize=8)
def _pattern(known: frozenset[str]) -> re.Pattern[str]:
    values = {each for secret in known for each in (secret, secret.strip()) if len(each) >= _SHORTEST}
    longest_first = sorted(values, key=len, reverse=True)
    return re.compile("|".join([*("".join(map(_encoded, value)) for value in longest_first), _JWT]))


def _encoded(character: str) -> str:
    """A pattern for one character in the forms in which servers repeat it, the longer forms first."""
    if character.isascii() and character.isalnum():
        return character
    number = ord(character)
    forms = [rf"&#0*{number};", rf"(?i:&#x0*{number:x};)"]
    forms.append("".join(rf"(?i:%{byte:02x})" for byte in character.encode("utf-8", "surrogatepass")))
    forms += [rf"(?i:\\u{number:04x})"] if number < 0x10000 else []
    forms += [re.escape(html.escape(character))] if html.escape(character) != character else []
    forms += [r"\+"] if character == " " else []
    forms += [r"\\" + re.escape(character)] if character in "\"'/\\" else []
    forms += {"\n": [r"\\n"], "\r": [r"\\r"], "\t": [r"\\t"]}.get(character, [])
    return f"(?:{'|'.join([*forms, re.escape(character)])})"
