"""Staged rows put together: each order with its lines, in one pass over both views."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from loader.contract import Model
from loader.errors import LoaderError
from loader.sync.lookups import match_key
from loader.sync.records import Row, Staged


def orders(model: Model, headers: Iterable[Row], lines: Iterable[Row], known: frozenset[str]) -> Iterator[Staged]:
    """Joins two streams sorted by the order's key. `known` holds the match keys of all headers, so that lines
    without one (GP changed between the two reads) are passed over instead of holding up the rest."""
    children = model.meta.children
    if children is None:
        for header in headers:
            yield Staged(_key(header[model.key_column]), header)
        return
    groups = groupby(lines, key=lambda line: match_key(line[children.via]))
    waiting: tuple[str, list[Row]] | None = None

    def next_group() -> tuple[str, list[Row]] | None:
        for key, group in groups:
            if key in known:
                return key, list(group)
        return None

    for header in headers:
        key = match_key(header[model.key_column])
        waiting = waiting or next_group()
        own: list[Row] = []
        if waiting and waiting[0] == key:
            own, waiting = waiting[1], None
        yield Staged(_key(header[model.key_column]), header, own)
    if waiting or next_group():
        raise LinesOutOfOrder(f"{model.name} and its lines are not sorted alike; nothing more was planned")


class LinesOutOfOrder(LoaderError):
    """The two views came back in different orders, so lines cannot be told to their orders."""

    code = "lines_out_of_order"
    remedy = "Give both key columns the same collation in the models."


def _key(value: Any) -> str:
    return str(value).rstrip(" ")
