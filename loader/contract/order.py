"""In which order the models are pushed: a table after the tables that it looks up. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from loader.contract.models import Model
from loader.errors import ContractError


def in_order(parents: Iterable[Model]) -> tuple[Model, ...]:
    """Puts a table after the tables that it looks up, and of one table's models those that create records first."""
    waiting = sorted(parents, key=lambda model: (model.meta.create == "never", model.name))
    ordered: list[Model] = []
    while waiting:
        ready = next((model for model in waiting if not _awaits(model, waiting)), None)
        if ready is None:
            circle = _circle(waiting)
            raise ContractError(
                f"Models {', '.join(circle)} look each other up in a circle, so none of them can be pushed first.",
                "Remove one of these look-ups.",
            )
        ordered.append(ready)
        waiting.remove(ready)
    return tuple(ordered)


def _awaits(model: Model, waiting: Iterable[Model]) -> list[Model]:
    """The models that must be pushed before this one. Look-ups to a table that the model itself fills do not count."""
    own = _filled(model)
    looked_up = {
        column.meta.lookup.table for each in _with_lines(model) for column in each.sent if column.meta.lookup
    } - own
    creates = model.meta.create == "always"
    return [
        other
        for other in waiting
        if other is not model
        and (
            _filled(other) & looked_up or (other.table == model.table and other.meta.create == "always" and not creates)
        )
    ]


def _circle(waiting: Sequence[Model]) -> list[str]:
    """Models that wait for each other in a circle, in order."""
    path = [waiting[0]]
    while (following := _awaits(path[-1], waiting)[0]) not in path:
        path.append(following)
    return [model.name for model in path[path.index(following) :]]


def _with_lines(model: Model) -> list[Model]:
    return [model, model.children] if model.children else [model]


def _filled(model: Model) -> set[str]:
    return {each.table for each in _with_lines(model)}
