"""Tables, columns and relationships: what the organisation declares.

The stock declarations come from `tables.csv`, `columns.csv` and `relationships.csv`; a snapshot adds custom columns
and alternate keys.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@lru_cache
def time_zones() -> dict[int, dict[str, str]]:
    """CRM's time zones by code: standard_name is Windows' name, iana the one that Python knows."""
    with (HERE / "time_zones.csv").open(encoding="utf-8", newline="") as file:
        return {int(row["code"]): row for row in csv.DictReader(file)}


UTC = 92
"""The code of UTC, the time zone of users unless the snapshot's `time_zone` says otherwise."""

Converter = Callable[[object], Any]
LOOKUP_TYPES = frozenset({"Lookup", "Customer", "Owner"})
OPTION_TYPES = frozenset({"Picklist", "State", "Status"})
EDM_TYPES = {
    "BigInt": "Edm.Int64",
    "Boolean": "Edm.Boolean",
    "DateTime": "Edm.DateTimeOffset",
    "Decimal": "Edm.Decimal",
    "Double": "Edm.Double",
    "EntityName": "Edm.String",
    "Integer": "Edm.Int32",
    "Memo": "Edm.String",
    "Money": "Edm.Decimal",
    "Picklist": "Edm.Int32",
    "State": "Edm.Int32",
    "Status": "Edm.Int32",
    "String": "Edm.String",
    "Uniqueidentifier": "Edm.Guid",
    "Lookup": "Edm.Guid",
    "Customer": "Edm.Guid",
    "Owner": "Edm.Guid",
}


@dataclass(frozen=True)
class Column:
    """One column as the organisation declares it."""

    table: str
    name: str
    schema_name: str
    type: str
    max_length: int | None = None
    precision: int | None = None
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    create: bool = True
    update: bool = True
    read: bool = True
    required: str = "None"
    format: str = ""
    behavior: str = ""
    precision_source: int = 0
    targets: tuple[str, ...] = ()
    options: Mapping[int, str] = field(default_factory=dict)
    states: Mapping[int, int] = field(default_factory=dict)
    custom: bool = False

    @property
    def is_lookup(self) -> bool:
        return self.type in LOOKUP_TYPES

    @property
    def api_name(self) -> str:
        """The property that a reader sees: look-ups are `_name_value`."""
        return f"_{self.name}_value" if self.is_lookup else self.name

    @property
    def edm_type(self) -> str:
        if self.type == "DateTime" and self.behavior == "DateOnly":
            return "Edm.Date"
        return EDM_TYPES[self.type]

    @property
    def is_base_amount(self) -> bool:
        """A read-only twin of a money column, in the base currency."""
        return self.type == "Money" and self.name.endswith("_base")


@dataclass(frozen=True)
class Relationship:
    """One look-up to one table. `column` of `referencing` points to `referenced`."""

    name: str
    referenced: str
    collection_property: str
    referencing: str
    column: str
    lookup_property: str
    on_delete: str
    on_assign: str = "NoCascade"
    on_merge: str = "NoCascade"


@dataclass(frozen=True)
class AlternateKey:
    name: str
    columns: tuple[str, ...]


@dataclass
class Table:
    """One table: columns by name, look-ups by navigation property (exact case), keys."""

    name: str
    schema_name: str
    entity_set: str
    id_column: str
    name_column: str
    type_code: int
    ownership: str
    columns: dict[str, Column] = field(default_factory=dict)
    by_api_name: dict[str, Column] = field(default_factory=dict)
    lookups: dict[str, list[Relationship]] = field(default_factory=dict)
    collections: dict[str, Relationship] = field(default_factory=dict)
    references: list[Relationship] = field(default_factory=list)
    referenced_by: list[Relationship] = field(default_factory=list)
    keys: list[AlternateKey] = field(default_factory=list)
    converters: dict[str, Converter] = field(default_factory=dict)
    """Functions that read snapshots, by column. Filled on first use."""

    @property
    def full_name(self) -> str:
        return f"Microsoft.Dynamics.CRM.{self.name}"

    def lookup_property(self, column: str, target: str) -> str | None:
        """The navigation property by which `column` points to `target`."""
        for relationship in self.references:
            if relationship.column == column and relationship.referenced == target:
                return relationship.lookup_property or None
        return None

    def add(self, column: Column) -> None:
        self.columns[column.name] = column
        if column.read or column.create or column.update:
            self.by_api_name[column.api_name] = column


class Schema:
    """All tables of the organisation."""

    def __init__(self, tables: Sequence[Table]) -> None:
        self.tables = {table.name: table for table in tables}
        self.by_set = {table.entity_set: table for table in tables}

    def relate(self, relationship: Relationship) -> None:
        referencing = self.tables[relationship.referencing]
        referencing.references.append(relationship)
        if relationship.lookup_property:
            referencing.lookups.setdefault(relationship.lookup_property, []).append(relationship)
        referenced = self.tables.get(relationship.referenced)
        if referenced is not None:
            referenced.referenced_by.append(relationship)
            if relationship.collection_property:
                referenced.collections[relationship.collection_property] = relationship

    def add_custom_column(self, spec: Mapping[str, object]) -> None:
        """A column of a snapshot's `custom_columns`."""
        table = self.tables[str(spec["table"])]
        kind = str(spec.get("type", "String"))
        if kind not in EDM_TYPES:
            raise ValueError(
                f"custom column {table.name}.{spec.get('name')}: type {kind!r} is unknown; "
                f"use one of {', '.join(sorted(EDM_TYPES))}"
            )
        name = str(spec["name"])
        options = spec.get("options") or {}
        targets = spec.get("targets") or ()
        assert isinstance(options, Mapping)
        assert isinstance(targets, (list, tuple))
        column = Column(
            table=table.name,
            name=name,
            schema_name=str(spec.get("schema_name") or name),
            type=kind,
            max_length=_int(spec.get("max_length")) or {"String": 100, "Memo": 2000}.get(kind),
            precision=_int(spec.get("precision")) if spec.get("precision") is not None else _PRECISION.get(kind),
            minimum=_decimal(spec.get("minimum")),
            maximum=_decimal(spec.get("maximum")),
            create=bool(spec.get("valid_for_create", True)),
            update=bool(spec.get("valid_for_update", True)),
            required=str(spec.get("required", "None")),
            format=str(spec.get("format", "DateAndTime" if kind == "DateTime" else "")),
            behavior=str(spec.get("behavior", "UserLocal" if kind == "DateTime" else "")),
            precision_source=_int(spec.get("precision_source")) or (2 if kind == "Money" else 0),
            targets=tuple(str(target) for target in targets),
            options={int(value): str(label) for value, label in options.items()},
            custom=True,
        )
        table.add(column)
        for target in column.targets:
            lookup = column.schema_name if len(column.targets) == 1 else f"{column.schema_name}_{target}"
            self.relate(
                Relationship(f"new_{target}_{table.name}_{name}", target, "", table.name, name, lookup, "RemoveLink")
            )


_PRECISION = {"Money": 2, "Decimal": 2, "Double": 2}


def _int(text: object) -> int | None:
    return int(str(text)) if text not in (None, "") else None


def _decimal(text: object) -> Decimal | None:
    return Decimal(str(text)) if text not in (None, "") else None


def _options(text: str) -> tuple[dict[int, str], dict[int, int]]:
    """`1=New@state0; 3=In Progress@state1` → labels by value, states by value."""
    labels: dict[int, str] = {}
    states: dict[int, int] = {}
    for part in re.split(r"; (?=-?\d+=)", text) if text else []:
        value, _, label = part.partition("=")
        label, _, state = label.partition("@state")
        labels[int(value)] = label
        if state:
            states[int(value)] = int(state)
    return labels, states


@lru_cache
def _column_rows() -> tuple[Column, ...]:
    columns = []
    with (HERE / "columns.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            labels, states = _options(row["options"])
            flags = row["valid_for"]
            columns.append(
                Column(
                    table=row["table"],
                    name=row["column"],
                    schema_name=row["schema_name"],
                    type=row["type"],
                    max_length=_int(row["max_length"]),
                    precision=_int(row["precision"]),
                    minimum=_decimal(row["minimum"]),
                    maximum=_decimal(row["maximum"]),
                    create="C" in flags,
                    update="U" in flags,
                    read="R" in flags,
                    required=row["required"] or "None",
                    format=row["format"],
                    behavior=row["behavior"],
                    precision_source=_int(row["precision_source"]) or 0,
                    targets=tuple(row["targets"].split()),
                    options=labels,
                    states=states,
                )
            )
    return tuple(columns)


@lru_cache
def _csv(name: str) -> tuple[tuple[str, ...], ...]:
    with (HERE / name).open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        next(reader)
        return tuple(tuple(row) for row in reader)


def stock_schema() -> Schema:
    """A fresh schema with the stock tables; custom columns and keys may be added to it."""
    schema = Schema(
        [
            Table(name, schema_name, entity_set, id_column, name_column, int(code), ownership)
            for name, schema_name, entity_set, id_column, name_column, code, ownership in _csv("tables.csv")
        ]
    )
    for column in _column_rows():
        schema.tables[column.table].add(column)
    for row in _csv("relationships.csv"):
        schema.relate(Relationship(*row))
    return schema
