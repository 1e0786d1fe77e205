"""Types for CRM's tables: columns, types, limits, navigation properties. describe.py reads them from CRM."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property

from loader.checksum import checksum


@dataclass(frozen=True)
class Attribute:
    """One column. `maximum`/`minimum` are the type's own bounds; `options` maps option value to label."""

    name: str
    kind: str
    creatable: bool
    updatable: bool
    readable: bool
    max_length: int | None = None
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    precision: int | None = None
    precision_source: int | None = None
    date_format: str | None = None
    date_behaviour: str | None = None
    targets: tuple[str, ...] = ()
    options: Mapping[int, str] = field(default_factory=dict)
    states: Mapping[int, int] = field(default_factory=dict)
    """For a status column: status value → the state that it belongs to."""


@dataclass(frozen=True)
class Table:
    """One CRM table."""

    name: str
    entity_set: str
    id_column: str
    attributes: Mapping[str, Attribute]
    single: Mapping[tuple[str, str], str]
    """(look-up column, target table) → single-valued navigation property."""
    collections: Mapping[tuple[str, str], str]
    """(referencing table, its look-up column) → collection-valued navigation property."""
    tracks_changes: bool = True
    """Whether CRM tells what has moved in it."""

    def navigation(self, column: str, target: str) -> str:
        return self.single[(column, target)]

    @cached_property
    def checksum(self) -> str:
        """Another text where anything of the table is different, except for whether its changes are tracked."""
        names = [
            self.name,
            self.entity_set,
            self.id_column,
            *(sorted([*key, name] for key, name in each.items()) for each in (self.single, self.collections)),
        ]
        return checksum([names, {name: vars(each) for name, each in self.attributes.items()}])
