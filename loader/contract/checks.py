"""Checks that the columns which `meta.crm` names are there, and that the models of one table agree. Pure.

Each check raises ContractError, which names the model, the word and the remedy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from loader.contract.models import Column, Model
from loader.contract.words import CURRENCY, ChildrenMeta, Lookup
from loader.errors import ContractError


def check_names(model: Model) -> None:
    """Every column that meta.crm names must be a column of the model."""
    known = {column.name for column in model.columns}
    meta = model.meta
    named = [("match_on", name) for name in meta.match_on] + [("adopt_by", name) for name in meta.adopt_by]
    named += [
        (place, name)
        for place, name in (
            ("title", meta.title),
            ("amount", meta.amount),
            ("sought_by", meta.sought_by),
            ("create_unless", meta.create_unless and meta.create_unless.column),
        )
        if name
    ]
    look_ups = {
        place: name
        for place, name in (
            ("share_with.owner_of", meta.share_with and meta.share_with.owner_of),
            ("belongs_to", meta.belongs_to),
        )
        if name
    }
    named += look_ups.items()
    for column in model.columns:
        if column.meta.lookup:
            named += [(f"{column.name}: lookup.match", staged) for staged in column.meta.lookup.match.values()]
            if column.meta.lookup.required_unless:
                named.append((f"{column.name}: lookup.required_unless", column.meta.lookup.required_unless))
            for path in column.meta.lookup.agree.values():
                if path != CURRENCY:
                    named.append((f"{column.name}: lookup.agree", path.partition(".")[0]))
                    look_ups[f"{column.name}: lookup.agree"] = path.partition(".")[0]
            _check_blank(model, column, column.meta.lookup)
        if column.meta.xref:
            named.append((f"{column.name}: xref.code", column.meta.xref.code))
    for place, name in named:
        if name not in known:
            raise ContractError(
                f"Model {model.name}, {place}: there is no column {name!r}.",
                f"Columns are {', '.join(sorted(known))}.",
            )
    for place, name in look_ups.items():
        if model.column(name).meta.lookup is None:
            raise ContractError(
                f"Model {model.name}, {place}: {name!r} is not a look-up.", "Name a column with meta.crm.lookup."
            )
    for word in ("match_on", "adopt_by"):
        for name in getattr(meta, word):
            if model.column(name).is_helper:
                raise ContractError(f"Model {model.name}, {word}: {name!r} is not sent.", "Name one of CRM's columns.")
    for name in meta.adopt_by:
        if model.column(name).meta.lookup:
            raise ContractError(f"Model {model.name}, adopt_by: {name!r} is a look-up.", "Name columns with values.")


def _check_blank(model: Model, column: Column, lookup: Lookup) -> None:
    for name in lookup.blank:
        if name not in lookup.match.values():
            raise ContractError(
                f"Model {model.name}, {column.name}: lookup.blank: {name!r} is not matched by the look-up.",
                f"It matches {', '.join(lookup.match.values())}.",
            )


def check_key_and_noun(model: Model) -> None:
    """A model of records needs a key, and a word for its records. Lines have neither."""
    if not model.meta.match_on:
        raise ContractError(
            f"Model {model.name}: match_on needs at least one column.", "Name CRM's cross-reference column."
        )
    if not re.fullmatch(r"[a-z][a-z ]*", model.meta.noun):
        raise ContractError(
            f"Model {model.name}: noun says in small letters what one record is called, such as order.",
            "Add noun to its meta.crm.",
        )


def check_lines(model: Model, children: ChildrenMeta, lines: Model) -> None:
    """Every column that the model's `children` names must be a column of the lines' model."""
    known = {column.name for column in lines.columns}
    made = [children.made_by_parent.column] if children.made_by_parent else []
    for name in [children.via, *children.match_on, *children.named_by, *children.shown_columns, *made]:
        if name not in known:
            raise ContractError(
                f"Model {lines.name}: there is no column {name!r}, named by {model.name}.",
                "Correct children.",
            )


def check_keys_of_tables(models: Iterable[Model]) -> None:
    """The models of one table have the same key, and CRM can be asked for the key of those that never create."""
    by_table: dict[str, Model] = {}
    for model in sorted(models, key=lambda model: model.name):
        first = by_table.setdefault(model.table, model)
        if first.meta.match_on != model.meta.match_on:
            raise ContractError(
                f"Models {first.name} and {model.name} fill {model.table}, but match_on differs.",
                "A record has one key: give both models the same match_on.",
            )
        if model.meta.create == "never" and model.column(model.key_column).meta.lookup:
            raise ContractError(
                f"Model {model.name}, match_on: {model.key_column!r} is a look-up, and create: never needs a"
                " column that is the key itself, because the loader asks CRM for the keys of all open records.",
                "Match on a column that holds a value, or have the model create records, too.",
            )
