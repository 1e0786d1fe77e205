"""JSON as it is sent to CRM and to the warehouse: compact UTF-8, with exact decimals."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import orjson
import simplejson

_OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS


def compact(content: object, default: Callable[[object], str] | None = None) -> bytes:
    """`content` as JSON. `default` gives the text of a value that JSON has no form for; without it, it is a TypeError.

    orjson refuses unpaired surrogates and integers of more than 64 bits: simplejson writes what holds one of them.
    """

    def other(value: object) -> object:
        if isinstance(value, Decimal):
            return orjson.Fragment(str(value))
        if default is None:
            raise TypeError(f"{value!r} has no form in JSON")
        return default(value)

    try:
        return orjson.dumps(content, other, _OPTIONS)
    except TypeError:
        return simplejson.dumps(content, default=default, separators=(",", ":")).encode()
