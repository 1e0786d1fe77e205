"""Reads CRM's JSON. A reply without the expected content raises UnexpectedReply, not some KeyError later."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from operator import itemgetter
from typing import Any, TypeAlias

from loader.errors import CrmUnavailable
from loader.secrets import excerpt

Row: TypeAlias = dict[str, Any]
"""A JSON object, numbers with a fraction as Decimal."""

_GUID = re.compile(r"\{?[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\}?")
_DATE = re.compile(r"[+-]?\d{4,6}-\d\d-\d\d(T|$)")
_ESCAPE = re.compile(rb"(?i)(?P<pair>\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2})|(?P<half>\\ud[89a-f][0-9a-f]{2})|\\.")
_SHOWN = 80


class UnexpectedReply(CrmUnavailable):
    """CRM, or a server in its place, sent a reply without the expected content."""

    code = "crm_unexpected_reply"
    remedy = "Check what is between the loader and CRM, then run it again; nothing is sent twice."


def parsed(body: bytes) -> Row:
    """The JSON object of a reply. Raises UnexpectedReply."""
    try:
        content = json.loads(_whole_characters(body), parse_float=Decimal, parse_constant=_refuse)
    except (ValueError, ArithmeticError, RecursionError):
        raise UnexpectedReply(f"CRM did not answer in JSON but with {first_words(body)!r}.") from None
    if not isinstance(content, dict):
        raise UnexpectedReply(f"CRM answered with {first_words(body)!r}, which is not a JSON object.")
    return content


def _whole_characters(body: bytes) -> bytes:
    """The JSON without unpaired surrogates, which text outside Python cannot contain."""
    return _ESCAPE.sub(_whole_character, body) if b"\\ud" in body or b"\\uD" in body else body


def _whole_character(match: re.Match[bytes]) -> bytes:
    return match[0] if match["pair"] or not match["half"] else b"\\ufffd"


def first_words(body: bytes) -> str:
    """The beginning of an unexpected reply, on one line, without secrets. A long page loses its tags."""
    text = excerpt(body, 4000)
    if len(text) > _SHOWN:
        text = re.sub(r"(?is)<(script|style)\b.*?</\1>|<[^>]*>", " ", text)
    words = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return words if len(words) <= _SHOWN else words[:_SHOWN] + "…"


def rows(content: Mapping[str, Any], name: str = "value") -> list[Row]:
    """The rows of a collection. Raises UnexpectedReply."""
    found = content.get(name)
    if not isinstance(found, list) or not all(type(each) is dict for each in found):
        raise unexpected(name, found, "a list of rows")
    return found


def text(row: Mapping[str, Any], name: str) -> str:
    found = row.get(name)
    if not isinstance(found, str) or not found:
        raise unexpected(name, found, "a text")
    return found


def optional_text(row: Mapping[str, Any], name: str) -> str | None:
    found = row.get(name)
    if found is not None and not isinstance(found, str):
        raise unexpected(name, found, "a text")
    return found


def identifier(row: Mapping[str, Any], name: str) -> str:
    """An id, which is safe to use in a URL."""
    found = row.get(name)
    if not isinstance(found, str) or not _GUID.fullmatch(found):
        raise unexpected(name, found, "an id")
    return found


def flag(row: Mapping[str, Any], name: str) -> bool:
    """A yes-or-no column; null counts as no."""
    found = row.get(name)
    if found is not None and not isinstance(found, bool):
        raise unexpected(name, found, "true or false")
    return bool(found)


def whole(row: Mapping[str, Any], name: str) -> int | None:
    found = row.get(name)
    if found is not None and type(found) is not int:
        raise unexpected(name, found, "a whole number")
    return found


def option(row: Mapping[str, Any], name: str) -> int:
    """A whole number that must be present."""
    found = whole(row, name)
    if found is None:
        raise unexpected(name, found, "a whole number")
    return found


def number(row: Mapping[str, Any], name: str) -> Decimal | None:
    found = row.get(name)
    if found is not None and type(found) not in (int, Decimal):
        raise unexpected(name, found, "a number")
    return None if found is None else Decimal(found)


def nested(row: Mapping[str, Any], name: str) -> Row:
    """An object within the reply; an empty one if it is null or absent."""
    found = row.get(name)
    if found is not None and type(found) is not dict:
        raise unexpected(name, found, "an object")
    return found or {}


@dataclass(frozen=True)
class Shape:
    """The expected shape of a read's rows: `kinds` maps each property to the kind of its column in CRM's metadata.

    `related` are rows of single-valued navigation properties, `children` those of a collection.
    """

    id_column: str
    kinds: Mapping[str, str]
    related: Mapping[str, Shape] = field(default_factory=dict)
    children: tuple[str, Shape] | None = None
    _known: set[tuple[type, ...]] = field(default_factory=set, compare=False, repr=False)

    def check(self, row: Row) -> Row:
        """Returns the row. Raises UnexpectedReply if a property is missing or has a value of the wrong kind."""
        try:
            values: tuple[Any, ...] = self._values(row)
        except KeyError as error:
            raise UnexpectedReply(f"CRM's reply has a row without {error}.") from None
        kinds = tuple(map(type, values))
        if kinds not in self._known:
            for name, value in zip(self._names, values, strict=True):
                _check_kind(name, value, self.kinds[name])
            self._known.add(kinds)
        if self.id_column:
            identifier(row, self.id_column)
        for name in self._dates:
            if row[name] is not None and not _DATE.match(row[name]):
                raise unexpected(name, row[name], "a date")
        for name, shape in self.related.items():
            if row.get(name) is not None:
                shape.check(nested(row, name))
        if self.children:
            name, shape = self.children
            for child in rows(row, name):
                shape.check(child)
        return row

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(self.kinds)

    @cached_property
    def _dates(self) -> tuple[str, ...]:
        return tuple(name for name, kind in self.kinds.items() if kind == "DateTime")

    @cached_property
    def _values(self) -> Callable[[Row], tuple[Any, ...]]:
        names = self._names
        return itemgetter(*names) if len(names) > 1 else lambda row: (row[names[0]],)


_TEXTS = ("String", "Memo", "EntityName")
_IDS = ("Lookup", "Customer", "Owner", "Uniqueidentifier")
_TYPES: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys((*_TEXTS, *_IDS, "DateTime"), (str,)),
    **dict.fromkeys(("Integer", "BigInt", "Picklist", "State", "Status"), (int,)),
    **dict.fromkeys(("Money", "Decimal", "Double"), (int, Decimal)),
    "Boolean": (bool,),
}


def _check_kind(name: str, value: object, kind: str) -> None:
    if value is not None and kind in _TYPES and type(value) not in _TYPES[kind]:
        raise unexpected(name, value, f"a value of type {kind}")


def unexpected(name: str, found: object, wanted: str) -> UnexpectedReply:
    """The error for a property with an unexpected value, or without one."""
    shown = "nothing" if found is None else first_words(repr(found).encode("utf-8", "replace"))
    return UnexpectedReply(f"CRM's reply has {shown} in {name} instead of {wanted}.")


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is not JSON")
