"""Writing records: JSON bodies checked against the metadata, look-ups resolved, keys, cascades."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from uuid import uuid4

from .errors import CrmError, bad_payload, bad_request, duplicate_record, not_found
from .metadata import Column, Relationship, Table
from .reader import Reader
from .states import ACTIVE, settle
from .store import Ref, Row, Value, fold
from .values import GUID, Coercer, Readings, Scales, coercer, midnight

Json = Mapping[str, object]


@dataclass(frozen=True)
class Caller:
    """The caller: a row of systemuser."""

    id: str
    integration: bool = False
    denied: frozenset[str] = frozenset()
    time_zone: str = "UTC"


@dataclass
class Body:
    """A JSON body after parsing and checking."""

    values: dict[str, Value] = field(default_factory=dict)
    children: list[tuple[Relationship, list[Json]]] = field(default_factory=list)
    parents: list[tuple[Relationship, Json]] = field(default_factory=list)
    record_id: str | None = None


class Rules:
    """What a table does beyond its metadata: as it stands, what every table does with its states."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self._has_states = {"statecode", "statuscode"} <= table.columns.keys()

    def first_state(self, row: Row) -> int:
        """The state of a new record, whatever was sent."""
        return ACTIVE

    def create(self, row_id: str, row: Row, caller: Caller, with_parent: bool) -> None:
        if not self._has_states:
            return
        state = self.first_state(row)
        changes: dict[str, Value] = {"statecode": state, "statuscode": row.get("statuscode")}
        settle(self.table, changes, state, row_id)
        row.update(changes)

    def created(self, row_id: str, caller: Caller, with_parent: bool) -> None:
        return

    def update(self, row_id: str, old: Row, changes: dict[str, Value], caller: Caller) -> None:
        if self._has_states:
            state = old.get("statecode", ACTIVE)
            assert isinstance(state, int)
            settle(self.table, changes, state, row_id)

    def updated(self, row_id: str, old: Row, changes: dict[str, Value], caller: Caller) -> None:
        return

    def delete(self, row_id: str, old: Row, caller: Caller) -> None:
        return

    def deleted(self, row_id: str, old: Row, caller: Caller) -> None:
        return


KEY_PART = re.compile(r"\s*(\w+)\s*=\s*('(?:[^']|'')*'|[^,]*?)\s*(?:,|$)")
FORBIDDEN_IN_KEYS = re.compile(r"[/<>*%&:\\?+]")
PRIVILEGES = ("Create", "Read", "Write", "Delete", "Append", "AppendTo", "Assign", "Share")
PRIVILEGES_OF = {
    "invoicedetail": "Invoice",
    "orderclose": "Activity",
    "salesorder": "Order",
    "salesorderdetail": "Order",
}
ACCESS_TEAM = 1  # team.teamtype
_BIND = "@odata.bind"
_SHOWN_AS_A_DAY = ("DateTime", "DateOnly", "UserLocal")

# A spec says what to do with one property of a body.
Spec = Callable[["Body", object, str, Scales, "Mapping[str, Ref]"], None]


def split_resource(text: str) -> tuple[str, str | None]:
    """`accounts(…)` → accounts, the text in the parentheses."""
    name, found, key = text.partition("(")
    if not found:
        return text, None
    if not key.endswith(")"):
        raise bad_request(f"Syntax error in the path segment '{text}'.")
    return name, key[:-1]


@lru_cache(maxsize=65536)
def _address(text: str) -> tuple[str, str]:
    """`/accounts(…)`, with or without the service's root → the set and what is in the parentheses."""
    path = re.sub(r"^https?://[^/]+", "", text.strip())
    path = re.sub(r"^/?api/data/v[\d.]+/", "", path).strip("/")
    name, key = split_resource(path)
    if key is None:
        raise bad_request(f"The URI '{text}' does not name a record.", "0x80060888")
    return name, key


class Records:
    """Creates, updates and deletes rows as CRM would."""

    def __init__(self, reader: Reader, now: Callable[[], str], readings: Readings) -> None:
        self.reader = reader
        self.readings = readings
        self.schema = reader.schema
        self.store = reader.store
        self.now = now
        self.rules = {table.name: Rules(table) for table in self.schema.tables.values()}
        self._specs: dict[str, dict[str, Spec]] = {}
        self._coercers: dict[tuple[str, str], Coercer] = {}
        self._scales: tuple[Row, Row, Scales] = ({}, {}, Scales(2, 2))

    # ------------------------------------------------ addressing

    def resolve(self, table: Table, key: str, *, in_url: bool = True) -> tuple[str | None, dict[str, Value]]:
        """The id for a key in parentheses (None: no such row), and the values that an upsert would set."""
        text = key.strip()
        if GUID.fullmatch(text):
            return text.lower(), {}
        parts: dict[str, str] = {}
        position = 0
        while position < len(text):
            match = KEY_PART.match(text, position)
            if not match or match.end() == position:
                raise bad_request(f"Bad Request - Error in query syntax: '({key})'.")
            parts[match.group(1)] = match.group(2)
            position = match.end()
        if len(parts) == 1:
            ((name, value),) = parts.items()
            own = "ownerid" if table.name in ("systemuser", "team") else table.id_column
            if name == own and GUID.fullmatch(value):
                return value.lower(), {}
        columns = {}
        for name, quoted in parts.items():
            column = table.by_api_name.get(name)
            if column is None:
                raise self._undeclared_key(table)
            columns[column.name] = self._key_value(table, column, quoted, in_url)
        if not any(set(declared.columns) == columns.keys() for declared in table.keys):
            raise self._undeclared_key(table)
        return self.find_by_key(table, columns), columns

    def _undeclared_key(self, table: Table) -> CrmError:
        return CrmError(
            400,
            "0x80060890",
            f"The key in the request URI is not valid for resource '{table.full_name}'. Ensure that the names and "
            f"number of key properties match the declared or alternate key properties for the resource "
            f"'{table.full_name}'.",
        )

    def _key_value(self, table: Table, column: Column, quoted: str, in_url: bool) -> Value:
        if quoted.startswith("'"):
            value: object = quoted[1:-1].replace("''", "'")
            if in_url and FORBIDDEN_IN_KEYS.search(str(value)):
                raise bad_request(
                    "A potentially dangerous Request.Path value was detected from the client: the key value "
                    f"'{value}' holds a character that cannot be used."
                )
        elif GUID.fullmatch(quoted) or column.type == "DateTime":
            value = quoted
        elif re.fullmatch(r"-?\d+", quoted):
            value = int(quoted)
        else:
            raise bad_request(f"Bad Request - Error in query syntax: '{quoted}'.")
        stored = self.coercer(column)(value, self.scales({}))
        if column.is_lookup and isinstance(stored, str):
            return Ref(column.targets[0], stored)
        return stored

    def find_by_key(self, table: Table, columns: Mapping[str, Value]) -> str | None:
        data = self.store.tables[table.name]
        first, *rest = columns
        for row_id in data.find(first, columns[first]):
            row = data.rows[row_id]
            if all(row.get(column) is not None and fold(row[column]) == fold(columns[column]) for column in rest):
                return row_id
        return None

    def existing(self, table: Table, key: str, *, in_url: bool = True) -> str:
        """The id of the row with this key. Refuses a key without a row."""
        row_id, _ = self.resolve(table, key, in_url=in_url)
        if row_id is None:
            raise no_record_by_key(table)
        if self.store.get(table.name, row_id) is None:
            raise not_found(table.name, row_id)
        return row_id

    def reference(self, text: str, refs: Mapping[str, Ref]) -> Ref:
        """`/accounts(id)`, a whole URL, an alternate key or `$1` → the row meant; it must exist."""
        if text.startswith("$"):
            return content_reference(text.strip(), refs)
        name, key = _address(text)
        table = self.reader.table_of_set(name)
        if key in self.store.tables[table.name].rows:
            return Ref(table.name, key)
        return Ref(table.name, self.existing(table, key, in_url=False))

    # ------------------------------------------------ bodies

    def coercer(self, column: Column) -> Coercer:
        key = (column.table, column.name)
        found = self._coercers.get(key)
        if found is None:
            entity_set = self.schema.tables[column.table].entity_set
            found = self._coercers[key] = coercer(column, entity_set, self.readings)
        return found

    def scales(self, row: Row) -> Scales:
        currency = self.reader.currency(row)
        organization = next(iter(self.store.tables["organization"].rows.values()))
        if currency is not self._scales[0] or organization is not self._scales[1]:
            scales = Scales(
                int(str(currency.get("currencyprecision", 2))), int(str(organization.get("pricingdecimalprecision", 2)))
            )
            self._scales = (currency, organization, scales)
        return self._scales[2]

    def read_body(self, table: Table, body: object, mode: str, old: Row, refs: Mapping[str, Ref]) -> Body:
        """Parse a body. Refuses undeclared properties, and ignores those that the mode does not allow."""
        if not isinstance(body, Mapping):
            raise bad_payload(table.entity_set, "The body is not a JSON object.")
        result = Body()
        specs = self._specs_of(table)
        row = old
        bound = body.get("transactioncurrencyid@odata.bind")
        if mode == "create" and isinstance(bound, str) and "transactioncurrencyid" in table.columns:
            row = {"transactioncurrencyid": self.reference(bound, refs)}
        scales = self.scales(row)
        for name, value in body.items():
            spec = specs.get(name)
            if spec is not None:
                spec(result, value, mode, scales, refs)
            elif name in specs or self._is_annotation(table, name):
                continue
            else:
                raise self._unknown(table, name)
        return result

    def _keep_days(self, table: Table, values: dict[str, Value], caller: Caller) -> None:
        """What an organisation keeps that takes instants for days where they are shown as days."""
        if not self.readings.keeps_only_midnight:
            return
        for name, value in values.items():
            column = table.columns[name]
            if isinstance(value, str) and (column.type, column.format, column.behavior) == _SHOWN_AS_A_DAY:
                values[name] = midnight(value, caller.time_zone)

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
        coerce = self.coercer(column)
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
            ref = self.reference(value, refs)
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

    # ------------------------------------------------ create

    def create(
        self,
        table: Table,
        body: object,
        caller: Caller,
        refs: Mapping[str, Ref],
        given: Mapping[str, Value] | None = None,
        record_id: str | None = None,
        with_parent: bool = False,
    ) -> str:
        """Insert a record and those inside its body. Returns its id."""
        self.allow(caller, "Create", table)
        understood = self.read_body(table, body, "create", {}, refs)
        self._keep_days(table, understood.values, caller)
        related, most = sum(len(children) for _, children in understood.children), self.readings.most_related
        if most is not None and related > most:
            raise bad_request(f"The deep insert holds {related} related records; at most {most} are allowed.")
        row_id = understood.record_id or record_id or str(uuid4())
        if self.store.get(table.name, row_id) is not None:
            raise duplicate_record()
        row = {**(given or {}), **understood.values}
        for relationship, parent in understood.parents:
            target = self.schema.tables.get(relationship.referenced)
            if target is None:
                raise bad_request(f"The table '{relationship.referenced}' is not part of this organization.")
            row[relationship.column] = Ref(target.name, self.create(target, parent, caller, refs))
        row[table.id_column] = row_id
        if row.get("ownerid") not in (None, Ref("systemuser", caller.id)):
            self._check_assignment(table, row["ownerid"], caller)
        self._defaults(table, row, caller)
        rules = self.rules[table.name]
        rules.create(row_id, row, caller, with_parent)
        self._check_keys(table, row_id, row, None)
        self.store.insert(table.name, row_id, {name: value for name, value in row.items() if value is not None})
        for relationship, children in understood.children:
            target = self.schema.tables[relationship.referencing]
            for child in children:
                self.create(
                    target, child, caller, refs, {relationship.column: Ref(table.name, row_id)}, with_parent=True
                )
        rules.created(row_id, caller, with_parent)
        return row_id

    def _defaults(self, table: Table, row: Row, caller: Caller) -> None:
        columns = table.columns
        now = self.now()
        who = Ref("systemuser", caller.id)
        for name in ("createdon", "modifiedon"):
            if name in columns:
                row[name] = now
        for name in ("createdby", "modifiedby"):
            if name in columns:
                row[name] = who
        if "overriddencreatedon" in columns and row.get("overriddencreatedon"):
            row["createdon"], row["overriddencreatedon"] = row["overriddencreatedon"], now
        if "ownerid" in columns and columns["ownerid"].create and row.get("ownerid") is None:
            row["ownerid"] = who
        currency = columns.get("transactioncurrencyid")
        if currency is not None and currency.is_lookup and currency.create and row.get(currency.name) is None:
            own = self.store.tables["systemuser"].rows.get(caller.id, {}).get("transactioncurrencyid")
            base = Ref("transactioncurrency", str(self.reader.base_currency()["transactioncurrencyid"]))
            row[currency.name] = own or base

    def add(self, table: Table, row: Row, caller: Caller) -> str:
        """A row that CRM makes by itself: no privilege and no rule stands against it."""
        row_id = str(uuid4())
        row[table.id_column] = row_id
        self._defaults(table, row, caller)
        self.store.insert(table.name, row_id, row)
        return row_id

    def _check_keys(self, table: Table, row_id: str, row: Mapping[str, Value], old: Row | None) -> None:
        for key in table.keys:
            values = {column: row.get(column) for column in key.columns}
            if any(value is None for value in values.values()):
                continue
            if old is not None and all(old.get(column) == value for column, value in values.items()):
                continue
            other = self.find_by_key(table, values)
            if other is not None and other != row_id:
                names = ", ".join(key.columns)
                raise CrmError(
                    412,
                    "0x80060892",
                    f"Entity Key {key.name} violated. A record with the same value for {names} already exists. A "
                    "duplicate record cannot be created. Select one or more unique values and try again.",
                )

    # ------------------------------------------------ update

    def update(self, table: Table, row_id: str, body: object, caller: Caller, refs: Mapping[str, Ref]) -> None:
        old = self.store.get(table.name, row_id)
        if old is None:
            raise not_found(table.name, row_id)
        self.allow(caller, "Write", table)
        understood = self.read_body(table, body, "update", old, refs)
        self._keep_days(table, understood.values, caller)
        self.change(table, row_id, old, understood.values, caller)

    def change(self, table: Table, row_id: str, old: Row, changes: dict[str, Value], caller: Caller) -> None:
        """Apply parsed values to a row, with the table's rules."""
        rules = self.rules[table.name]
        rules.update(row_id, old, changes, caller)
        owner = changes.get("ownerid")
        assigned = "ownerid" in changes and owner != old.get("ownerid")
        if assigned:
            self._check_assignment(table, owner, caller)
        row = {**old, **changes}
        self._check_keys(table, row_id, row, old)
        self.write(table, row_id, row, caller)
        if assigned:
            self._assign_below(table, row_id, owner, caller)
        rules.updated(row_id, old, changes, caller)

    def _check_assignment(self, table: Table, owner: Value, caller: Caller) -> None:
        self.allow(caller, "Assign", table)
        if owner is None:
            raise CrmError(400, "0x80040210", "Invalid assignee id.")
        if (
            isinstance(owner, Ref)
            and owner.table == "team"
            and (self.reader.target_row(owner) or {}).get("teamtype") == 1
        ):
            raise CrmError(
                400,
                "0x80048340",
                "You cannot assign a record to the access team. You can assign a record to the owner team.",
            )

    def _assign_below(self, table: Table, row_id: str, owner: Value, caller: Caller) -> None:
        """The records that belong to this one get its owner, too, whoever had them and whatever state they are in."""
        for relationship in table.referenced_by:
            if relationship.on_assign != "Cascade":
                continue
            below = self.schema.tables[relationship.referencing]
            data = self.store.tables[below.name]
            for other in data.find(relationship.column, row_id):
                row = data.rows[other]
                if row.get(relationship.column) == Ref(table.name, row_id) and row.get("ownerid") != owner:
                    self.write(below, other, {**row, "ownerid": owner}, caller)
                    self._assign_below(below, other, owner, caller)

    def write(self, table: Table, row_id: str, row: Mapping[str, Value], caller: Caller) -> None:
        new: Row = {name: value for name, value in row.items() if value is not None}
        if "modifiedon" in table.columns:
            new["modifiedon"] = self.now()
            new["modifiedby"] = Ref("systemuser", caller.id)
        self.store.replace(table.name, row_id, new)

    # ------------------------------------------------ delete

    def delete(self, table: Table, row_id: str, caller: Caller) -> None:
        old = self.store.get(table.name, row_id)
        if old is None:
            raise not_found(table.name, row_id)
        self.allow(caller, "Delete", table)
        rules = self.rules[table.name]
        rules.delete(row_id, old, caller)
        self._remove(table, row_id, old, caller)
        rules.deleted(row_id, old, caller)

    def _remove(self, table: Table, row_id: str, old: Row, caller: Caller) -> None:
        """Remove a row, treating the rows that refer to it as their relationships say."""
        pointing: list[tuple[Relationship, list[str]]] = []
        for relationship in table.referenced_by:
            column = self.schema.tables[relationship.referencing].columns[relationship.column]
            if relationship.on_delete == "NoCascade" or not self.reader.is_stored(column):
                continue
            data = self.store.tables[relationship.referencing]
            ids = [
                other
                for other in data.find(relationship.column, row_id)
                if data.rows[other][relationship.column] == Ref(table.name, row_id)
            ]
            if ids and relationship.on_delete == "Restrict":
                raise CrmError(
                    405,
                    "0x80040227",
                    "The object you tried to delete is associated with another object and cannot be deleted. "
                    f"({table.name} With Id = {row_id} is used by {relationship.referencing})",
                )
            if ids:
                pointing.append((relationship, ids))
        for relationship, ids in pointing:
            other_table = self.schema.tables[relationship.referencing]
            data = self.store.tables[relationship.referencing]
            for other in ids:
                row = data.rows.get(other)
                if row is None:
                    continue
                if relationship.on_delete == "Cascade":
                    self._remove(other_table, other, row, caller)
                else:
                    kept: Row = {name: value for name, value in row.items() if name != relationship.column}
                    self.store.replace(other_table.name, other, kept)
        shares = self.store.tables["principalobjectaccess"]
        for share in shares.find("objectid", row_id) if shares.rows else ():
            self.store.remove("principalobjectaccess", share)
        self.store.remove(table.name, row_id)

    # ------------------------------------------------ privileges

    def allow(self, caller: Caller, right: str, table: Table) -> None:
        """Refuse a caller who lacks a privilege."""
        if not caller.denied:
            return
        privilege = privilege_name(right, table)
        if privilege in caller.denied:
            raise CrmError(
                403,
                "0x80040220",
                f"Principal user (Id={caller.id}, type=8, roleCount=1) is missing {privilege} privilege on "
                f"OTC={table.type_code} for entity '{table.name}'. The user does not hold the necessary privileges.",
            )


def privilege_name(right: str, table: Table) -> str:
    """`prvWriteOrder`; lines share their document's privileges."""
    return f"prv{right}{PRIVILEGES_OF.get(table.name, table.schema_name)}"


def no_record_by_key(table: Table) -> CrmError:
    return CrmError(404, "0x80060891", f"A record with the specified key values does not exist in {table.name} entity")


def content_reference(text: str, refs: Mapping[str, Ref]) -> Ref:
    ref = refs.get(text[1:].split("/")[0])
    if ref is None:
        raise CrmError(
            400, "0x80060888", f"Content-ID Reference: '{text.split('/')[0]}' does not exist in the batch context."
        )
    return ref
