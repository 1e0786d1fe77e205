"""A short text for a content, by which to tell later whether it is still the same."""

from __future__ import annotations

import hashlib

import simplejson


def checksum(content: object) -> str:
    """The same text for equal contents of lists, dicts and plain values, whatever order the dicts are in."""
    text = simplejson.dumps(content, sort_keys=True, default=str, use_decimal=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
