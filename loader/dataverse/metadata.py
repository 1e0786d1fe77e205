"""What CRM says about its tables: columns, types, limits, navigation properties (EntityDefinitions)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from loader.dataverse.batch import Query
from loader.dataverse.client import Client, RequestFailed
from loader.dataverse.query import definition_of
from loader.dataverse.replies import Row, flag, nested, number, option, optional_text, rows, text, whole
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


def _table(name: str, answers: list[Row]) -> Table:
    entity, attributes, *typed = answers
    details: dict[str, Row] = {}
    for answer in typed:
        for row in rows(answer):
            details.setdefault(text(row, "LogicalName"), {}).update(row)
    return Table(
        name=name,
        entity_set=text(entity, "EntitySetName"),
        id_column=text(entity, "PrimaryIdAttribute"),
        attributes={
            attribute.name: attribute
            for attribute in (_attribute(row, details.get(text(row, "LogicalName"), {})) for row in rows(attributes))
        },
        single=_navigations(
            entity,
            "ManyToOneRelationships",
            ("ReferencingAttribute", "ReferencedEntity", "ReferencingEntityNavigationPropertyName"),
        ),
        collections=_navigations(
            entity,
            "OneToManyRelationships",
            ("ReferencingEntity", "ReferencingAttribute", "ReferencedEntityNavigationPropertyName"),
        ),
    )


def _navigations(entity: Row, name: str, columns: tuple[str, str, str]) -> dict[tuple[str, str], str]:
    """Navigation properties by the two columns that tell which one it is."""
    found: dict[tuple[str, str], str] = {}
    for row in rows(entity, name):
        first, second, navigation = (optional_text(row, column) for column in columns)
        if first and second and navigation:
            found[(first, second)] = navigation
    return found


def _attribute(row: Row, detail: Row) -> Attribute:
    held = nested(detail, "OptionSet") or nested(detail, "GlobalOptionSet")
    options = rows(held, "Options") if held.get("Options") else []
    behaviour = detail.get("DateTimeBehavior")
    targets = detail.get("Targets")
    return Attribute(
        name=text(row, "LogicalName"),
        kind=text(row, "AttributeType"),
        creatable=flag(row, "IsValidForCreate"),
        updatable=flag(row, "IsValidForUpdate"),
        readable=flag(row, "IsValidForRead"),
        max_length=whole(detail, "MaxLength"),
        minimum=number(detail, "MinValue"),
        maximum=number(detail, "MaxValue"),
        precision=whole(detail, "Precision"),
        precision_source=whole(detail, "PrecisionSource"),
        date_format=optional_text(detail, "Format"),
        date_behaviour=optional_text(behaviour, "Value")
        if isinstance(behaviour, dict)
        else optional_text(detail, "DateTimeBehavior"),
        targets=tuple(map(str, targets)) if isinstance(targets, list) else (),
        options={option(each, "Value"): _label(each) for each in options},
        states={option(each, "Value"): option(each, "State") for each in options if "State" in each},
    )


def _label(held: Row) -> str:
    label = nested(nested(held, "Label"), "UserLocalizedLabel")
    return str(label.get("Label") or option(held, "Value"))
