"""JSON bodies, checked against the metadata: what a request wants to write."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .coercion import Coercion
from .errors import CrmError, bad_payload, bad_request
from .metadata import Column, Relationship, Table
from .references import References
from .store import Ref, Row, Value
from .values import Scales

Json = Mapping[str, object]
_BIND = "@odata.bind"


@dataclass
class Body:
    """A JSON body after parsing and checking."""

    values: dict[str, Value] = field(default_factory=dict)
    children: list[tuple[Relationship, list[Json]]] = field(default_factory=list)
    parents: list[tuple[Relationship, Json]] = field(default_factory=list)
    record_id: str | None = None


# A spec says what to do with one property of a body.
Spec = Callable[["Body", object, str, Scales, "Mapping[str, Ref]"], None]


class Bodies:
    """Understands bodies; what to do with each property is worked out once for each table."""

    def __init__(self, references: References, coercion: Coercion) -> None:
        self.references = references
        self.coercion = coercion
        self._specs: dict[str, dict[str, Spec]] = {}

    def read(self, table: Table, body: object, mode: str, old: Row, refs: Mapping[str, Ref]) -> Body:
        """Parse a body. Refuses undeclared properties, and ignores those that the mode does not allow."""
        if not isinstance(body, Mapping):
            raise bad_payload(table.entity_set, "The body is not a JSON object.")
        result = Body()
        specs = self._specs_of(table)
        row = old
        bound = body.get("transactioncurrencyid@odata.bind")
        if mode == "create" and isinstance(bound, str) and "transactioncurrencyid" in table.columns:
            row = {"transactioncurrencyid": self.references.find(bound, refs)}
        scales = self.coercion.scales(row)
        for name, value in body.items():
            spec = specs.get(name)
            if spec is not None:
                spec(result, value, mode, scales, refs)
            elif name in specs or self._is_annotation(table, name):
                continue
            else:
                raise self._unknown(table, name)
        return result

    def _is_annotation(self, table: Table, name: str) -> bool:
        """Whether a property is an annotation such as `@odata.type`, which is ignored."""
        subject, found, term = name.partition("@")
        if not found or term == "odata.bind":
            return False
        if subject and subject not in table.by_api_name and subject not in table.lookups:
            return subject in table.collections
        return True

    def _unknown(self, table: Table, name: str) -> CrmError:
        if name.endswith(_BIND):
            return bad_payload(
                table.entity_set,
                f"An undeclared property '{name.removesuffix(_BIND)}' which only has property annotations in the "
                "payload but no property value was found in the payload. In OData, only declared navigation "
                "properties and declared named streams can be represented as properties without values.",
            )
        return bad_payload(
            table.entity_set,
            f"The property '{name}' does not exist on type '{table.full_name}'. Make sure to only use property "
            "names that are defined by the type.",
        )

    def _specs_of(self, table: Table) -> dict[str, Spec]:
        specs = self._specs.get(table.name)
        if specs is None:
            specs = self._specs[table.name] = {}
            for column in table.columns.values():
                if column.is_lookup:
                    specs[column.api_name] = self._look_up_value(column)
                else:
                    specs[column.name] = self._value(table, column)
            for name, relationships in table.lookups.items():
                specs[f"{name}{_BIND}"] = self._bind(table, name, relationships)
                specs[name] = self._navigate(table, name, relationships)
            for name, relationship in table.collections.items():
                specs[name] = self._children(table, relationship)
        return specs

    def _value(self, table: Table, column: Column) -> Spec:
        coerce = self.coercion.coercer(column)
        name = column.name
        allowed = {"create": column.create, "update": column.update}
        if name == table.id_column:

            def own_id(body: Body, value: object, mode: str, scales: Scales, refs: Mapping[str, Ref]) -> None:
                if value is not None:
                    body.record_id = str(coerce(value, scales))

            return own_id

        def take(body: Body, value: object, mode: str, scales: Scales, refs: Mapping[str, Ref]) -> None:
            if allowed[mode]:
                body.values[name] = None if value is None else coerce(value, scales)

        return take

    def _look_up_value(self, column: Column) -> Spec:
        def refuse(body: Body, value: object, mode: str, scales: Scales, refs: Mapping[str, Ref]) -> None:
            raise CrmError(
                400,
                "0x80048d19",
                "CRM do not support direct update of Entity Reference properties, Use Navigation properties instead. "
                f"('{column.api_name}')",
            )

        return refuse

    def _bind(self, table: Table, lookup: str, relationships: list[Relationship]) -> Spec:
        column = table.columns[relationships[0].column]
        targets = {relationship.referenced for relationship in relationships}
        allowed = {"create": column.create, "update": column.update}

        def bind(body: Body, value: object, mode: str, scales: Scales, refs: Mapping[str, Ref]) -> None:
            if value is None:
                raise bad_payload(
                    table.entity_set,
                    "The 'odata.bind' instance or property annotation has a null value. In OData, the 'odata.bind' "
                    "instance or property annotation must have a non-null string value.",
                )
            if not isinstance(value, str):
                raise bad_payload(table.entity_set, f"The value of '{lookup}{_BIND}' is not a string.")
            if not allowed[mode]:
                return
            ref = self.references.find(value, refs)
            if ref.table not in targets:
                raise bad_payload(
                    table.entity_set,
                    f"An entity of type 'Microsoft.Dynamics.CRM.{ref.table}' cannot be bound to '{lookup}'.",
                )
            body.values[column.name] = ref

        return bind

    def _navigate(self, table: Table, lookup: str, relationships: list[Relationship]) -> Spec:
        """`nav: null` clears; `nav: {…}` creates the other record too."""
        column = table.columns[relationships[0].column]
        allowed = {"create": column.create, "update": column.update}

        def navigate(body: Body, value: object, mode: str, scales: Scales, refs: Mapping[str, Ref]) -> None:
            if value is not None and not isinstance(value, Mapping):
                raise bad_payload(
                    table.entity_set,
                    "A 'PrimitiveValue' node with non-null value was found when trying to read the value of the "
                    f"property '{lookup}'; however, a 'StartArray' node, a 'StartObject' node, or a "
                    "'PrimitiveValue' node with null value was expected.",
                )
            if value is not None and mode == "update":
                raise bad_request("Deep update of navigation properties is not allowed.")
            if not allowed[mode]:
                return
            if value is None:
                body.values[column.name] = None
            elif len(relationships) == 1:
                body.parents.append((relationships[0], value))

        return navigate

    def _children(self, table: Table, relationship: Relationship) -> Spec:
        def children(body: Body, value: object, mode: str, scales: Scales, refs: Mapping[str, Ref]) -> None:
            if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
                raise bad_payload(
                    table.entity_set, f"'{relationship.collection_property}' is not a list of JSON objects."
                )
            if mode == "update":
                raise bad_request("Deep update of navigation properties is not allowed.")
            body.children.append((relationship, value))

        return children
