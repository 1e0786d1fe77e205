"""Writing records as CRM does: creating, changing, assigning, deleting, with keys and cascades."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from uuid import uuid4

from .bodies import Bodies
from .callers import Caller, allow
from .coercion import Coercion
from .errors import CrmError, bad_request, duplicate_record, not_found
from .metadata import Relationship, Table
from .reader import Reader
from .references import References
from .rules import Rules
from .store import Ref, Row, Value
from .values import Readings, midnight

_SHOWN_AS_A_DAY = ("DateTime", "DateOnly", "UserLocal")


class Records:
    """Creates, updates and deletes rows as CRM would."""

    def __init__(self, reader: Reader, now: Callable[[], str], readings: Readings) -> None:
        self.reader = reader
        self.readings = readings
        self.schema = reader.schema
        self.store = reader.store
        self.now = now
        self.rules = {table.name: Rules(table) for table in self.schema.tables.values()}
        coercion = Coercion(reader, readings)
        self.references = References(reader, coercion)
        self.bodies = Bodies(self.references, coercion)

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
        allow(caller, "Create", table)
        understood = self.bodies.read(table, body, "create", {}, refs)
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

    def _keep_days(self, table: Table, values: dict[str, Value], caller: Caller) -> None:
        """What an organisation keeps that takes instants for days where they are shown as days."""
        if not self.readings.keeps_only_midnight:
            return
        for name, value in values.items():
            column = table.columns[name]
            if isinstance(value, str) and (column.type, column.format, column.behavior) == _SHOWN_AS_A_DAY:
                values[name] = midnight(value, caller.time_zone)

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
            other = self.references.find_by_key(table, values)
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
        allow(caller, "Write", table)
        understood = self.bodies.read(table, body, "update", old, refs)
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
        allow(caller, "Assign", table)
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
        allow(caller, "Delete", table)
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
