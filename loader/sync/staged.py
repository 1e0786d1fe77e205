"""Staged rows put together: each order with its lines, in one pass over both views."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, groupby
from typing import Any

from loader.contract import Model
from loader.errors import LoaderError
from loader.sync.lookups import match_key
from loader.sync.records import Row, Staged


def orders(model: Model, headers: Iterable[Row], lines: Iterable[Row], known: Mapping[str, int]) -> Iterator[Staged]:
    """Joins two streams sorted by the order's key. `known`: match key → place in that order, read before both.

    GP goes on while they are read. So the lines are asked for first: an order that leaves GP's open orders in between
    has no header any more and is passed over, and never seems to have lost its lines. One that comes in between is
    not known yet: it is the next run's.
    """
    children = model.meta.children
    if children is None:
        for header in headers:
            yield Staged(_key(header[model.key_column]), header)
        return
    groups = _groups(lines, children.via, known)
    passed: set[str] = set()
    waiting = next(groups, None)
    for header in headers:
        key = match_key(header[model.key_column])
        if key not in known:
            continue
        while waiting and known[waiting[0]] < known[key]:
            _refuse_late(waiting[0], passed, model)
            waiting = next(groups, None)
        own: list[Row] = []
        if waiting and waiting[0] == key:
            own, waiting = waiting[1], next(groups, None)
        passed.add(key)
        yield Staged(_key(header[model.key_column]), header, own)
    for late in chain([waiting] if waiting else [], groups):
        _refuse_late(late[0], passed, model)


def _groups(lines: Iterable[Row], via: str, known: Mapping[str, int]) -> Iterator[tuple[str, list[Row]]]:
    for key, group in groupby(lines, key=lambda line: match_key(line[via])):
        if key in known:
            yield key, list(group)


def _refuse_late(key: str, passed: set[str], model: Model) -> None:
    if key in passed:
        raise LinesOutOfOrder(f"{model.name} and its lines are not sorted alike; nothing more was planned.")


class LinesOutOfOrder(LoaderError):
    """The two views came back in different orders, so lines cannot be told to their orders."""

    code = "lines_out_of_order"
    remedy = "Give both key columns the same collation in the models."


def _key(value: Any) -> str:
    return str(value).rstrip(" ")
