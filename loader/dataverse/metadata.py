"""What CRM says about its tables: columns, types, limits, navigation properties (EntityDefinitions)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from loader.dataverse.batch import Query
from loader.dataverse.client import Client, RequestFailed
from loader.dataverse.query import definition_of
from loader.errors import UsageError

_CASTS = {
    "String": "MaxLength",
    "Memo": "MaxLength",
    "Money": "MinValue,MaxValue,Precision,PrecisionSource",
    "Decimal": "MinValue,MaxValue,Precision",
    "Integer": "MinValue,MaxValue",
    "DateTime": "Format,DateTimeBehavior",
    "Lookup": "Targets",
}
_OPTION_CASTS = ("Picklist", "State", "Status")


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
    """For a status column: status value → state it belongs to."""


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

    def navigation(self, column: str, target: str) -> str:
        return self.single[(column, target)]


def read_tables(client: Client, names: Iterable[str]) -> dict[str, Table]:
    """Definitions of the named tables, in one request. Raises UsageError for a table CRM does not have."""
    wanted = list(dict.fromkeys(names))
    queries = [Query(path) for name in wanted for path in _paths(name)]
    try:
        answers = client.query(queries)
    except RequestFailed as failure:
        if failure.error.status != 404:
            raise
        raise UsageError(
            f"CRM does not have a table that meta.crm names: {failure.error}", "Correct meta.crm.table."
        ) from failure
    size = len(queries) // max(1, len(wanted))
    return {name: _table(name, answers[number * size : (number + 1) * size]) for number, name in enumerate(wanted)}


def _paths(name: str) -> list[str]:
    entity = definition_of(name)
    base = "LogicalName,AttributeType,IsValidForCreate,IsValidForUpdate,IsValidForRead,AttributeOf"
    return [
        f"{entity}?$select=LogicalName,EntitySetName,PrimaryIdAttribute"
        "&$expand=ManyToOneRelationships($select=ReferencingAttribute,ReferencedEntity,"
        "ReferencingEntityNavigationPropertyName),OneToManyRelationships($select=ReferencingEntity,"
        "ReferencingAttribute,ReferencedEntityNavigationPropertyName)",
        f"{entity}/Attributes?$select={base}",
        *(
            f"{entity}/Attributes/Microsoft.Dynamics.CRM.{kind}AttributeMetadata?$select=LogicalName,{columns}"
            for kind, columns in _CASTS.items()
        ),
        *(
            f"{entity}/Attributes/Microsoft.Dynamics.CRM.{kind}AttributeMetadata"
            "?$select=LogicalName&$expand=OptionSet($select=Options),GlobalOptionSet($select=Options)"
            for kind in _OPTION_CASTS
        ),
    ]


def _table(name: str, answers: list[Any]) -> Table:
    entity, attributes, *typed = answers
    details: dict[str, dict[str, Any]] = {}
    for answer in typed:
        for row in answer["value"]:
            details.setdefault(row["LogicalName"], {}).update(row)
    return Table(
        name=name,
        entity_set=entity["EntitySetName"],
        id_column=entity["PrimaryIdAttribute"],
        attributes={
            row["LogicalName"]: _attribute(row, details.get(row["LogicalName"], {})) for row in attributes["value"]
        },
        single={
            (row["ReferencingAttribute"], row["ReferencedEntity"]): row["ReferencingEntityNavigationPropertyName"]
            for row in entity["ManyToOneRelationships"]
        },
        collections={
            (row["ReferencingEntity"], row["ReferencingAttribute"]): row["ReferencedEntityNavigationPropertyName"]
            for row in entity["OneToManyRelationships"]
        },
    )


def _attribute(row: Mapping[str, Any], detail: Mapping[str, Any]) -> Attribute:
    options = (detail.get("OptionSet") or detail.get("GlobalOptionSet") or {}).get("Options") or []
    behaviour = detail.get("DateTimeBehavior")
    return Attribute(
        name=row["LogicalName"],
        kind=row["AttributeType"],
        creatable=bool(row["IsValidForCreate"]),
        updatable=bool(row["IsValidForUpdate"]),
        readable=bool(row["IsValidForRead"]),
        max_length=detail.get("MaxLength"),
        minimum=_decimal(detail.get("MinValue")),
        maximum=_decimal(detail.get("MaxValue")),
        precision=detail.get("Precision"),
        precision_source=detail.get("PrecisionSource"),
        date_format=detail.get("Format"),
        date_behaviour=behaviour.get("Value") if isinstance(behaviour, Mapping) else behaviour,
        targets=tuple(detail.get("Targets") or ()),
        options={option["Value"]: _label(option) for option in options},
        states={option["Value"]: option["State"] for option in options if "State" in option},
    )


def _label(option: Mapping[str, Any]) -> str:
    label = (option.get("Label") or {}).get("UserLocalizedLabel") or {}
    return str(label.get("Label") or option["Value"])


def _decimal(value: object) -> Decimal | None:
    return None if value is None else Decimal(str(value))
