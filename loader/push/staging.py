"""Chooses, from what dbt staged, the records of each model that a command works with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from loader.context import Context, StagedRecords, require
from loader.contract import Model
from loader.errors import UsageError
from loader.keys import match_key
from loader.push.gather import open_keys

Sought = Callable[[Model, set[str], "Sequence[str] | None"], list[str]]
"""Of a model that never creates: its open records in CRM, without those keys, and only those named if any are."""


def models_of(context: Context, tables: Sequence[str] = ()) -> tuple[Model, ...]:
    """The models of these tables, or all of them, in the order of a push. Raises UsageError."""
    known = dict.fromkeys(model.table for model in context.contract.models)
    for table in tables:
        if table not in known:
            raise UsageError(f"No model fills a table {table!r}.", f"The tables are {', '.join(known)}.")
    return tuple(model for model in context.contract.models if not tables or model.table in tables)


def stage(
    context: Context, models: Sequence[Model], only: Sequence[str] = (), sought: Sought | None = None
) -> list[StagedRecords]:
    """What dbt staged for these models, or the records of these keys. Raises NotFound for a key that none has.

    `sought`: who knows CRM's open records for the models that never create.
    """
    chosen = {model.table: only for model in models} if only else None
    staged = list(_staged(context, models, chosen, sought or partial(_sought, context)))
    if only:
        require(staged, only)
    return staged


def stage_chosen(context: Context, models: Sequence[Model], chosen: Mapping[str, Sequence[str]]) -> list[StagedRecords]:
    """Those of the chosen records that are staged, by table."""
    these = [model for model in models if chosen.get(model.table)]
    return list(_staged(context, these, chosen, partial(_sought, context)))


def _staged(
    context: Context, models: Sequence[Model], chosen: Mapping[str, Sequence[str]] | None, sought: Sought
) -> Iterator[StagedRecords]:
    taken: dict[str, set[str]] = {}
    for model in models:
        only = None if chosen is None else chosen[model.table]
        if model.meta.create == "never":
            context.bindings(model).refuse_problems()
            staged = context.stage(model, sought(model, taken.get(model.table, set()), only))
        else:
            staged = context.stage(model, only)
        taken.setdefault(model.table, set()).update(map(match_key, staged.keys))
        yield staged


def _sought(context: Context, model: Model, taken: set[str], only: Sequence[str] | None) -> list[str]:
    """CRM's open records of a table that no other model of it stages: a model that never creates has no others."""
    binding = context.bindings(model).base
    return [key for key in open_keys(context.client, binding, only) if match_key(key) not in taken]
