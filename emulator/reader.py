"""Reading columns: the stored ones, and those that CRM derives when it reads.

Derived: `…_base` amounts, exchange rates, owning user, team and business unit, composite addresses, whether a unit is
the base of its group, and on lines what they take from their order or invoice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal

from .errors import CrmError, bad_request
from .metadata import OPTION_TYPES, Column, Relationship, Schema, Table
from .store import Ref, Row, Store, Value
from .values import round_half_away

Read = Callable[[Row], Value]
PARENT_LINES = {"salesorderdetail": ("salesorder", "salesorderid"), "invoicedetail": ("invoice", "invoiceid")}


class Reader:
    """How to read any column of any table; also answers the filter compiler's questions."""

    def __init__(self, schema: Schema, store: Store) -> None:
        self.schema = schema
        self.store = store
        self._readers: dict[tuple[str, str], Read] = {}

    # ------------------------------------------------ names

    def table_of_set(self, entity_set: str) -> Table:
        table = self.schema.by_set.get(entity_set)
        if table is None:
            raise CrmError(404, "0x80060888", f"Resource not found for the segment '{entity_set}'.")
        return table

    def column(self, table: str, name: str, *, logical: bool = False) -> Column:
        """A column by the name that readers use, or by its logical name besides; refuses unknown ones."""
        found = self.schema.tables[table].by_api_name.get(name)
        if found is None and logical:
            found = self.schema.tables[table].columns.get(name)
        if found is None or not found.read:
            raise bad_request(f"Could not find a property named '{name}' on type 'Microsoft.Dynamics.CRM.{table}'.")
        return found

    def lookup(self, table: str, name: str) -> list[Relationship]:
        found = self.schema.tables[table].lookups.get(name)
        if not found:
            raise bad_request(f"Could not find a property named '{name}' on type 'Microsoft.Dynamics.CRM.{table}'.")
        return found

    # ------------------------------------------------ values

    def reader(self, column: Column) -> Read:
        key = (column.table, column.name)
        read = self._readers.get(key)
        if read is None:
            read = self._readers[key] = self._derived(column) or _stored(column.name)
        return read

    def is_stored(self, column: Column) -> bool:
        return self._derived(column) is None

    def currency(self, row: Row) -> Row:
        ref = row.get("transactioncurrencyid")
        found = self.store.get("transactioncurrency", ref.id) if isinstance(ref, Ref) else None
        return found or self.base_currency()

    def base_currency(self) -> Row:
        organization = next(iter(self.store.tables["organization"].rows.values()))
        ref = organization["basecurrencyid"]
        assert isinstance(ref, Ref)
        return self.store.tables["transactioncurrency"].rows[ref.id]

    def _derived(self, column: Column) -> Read | None:
        table, name = column.table, column.name
        columns = self.schema.tables[table].columns
        if column.is_base_amount and name[:-5] in columns:
            amount = name[:-5]

            def base(row: Row) -> Value:
                value = row.get(amount)
                if not isinstance(value, Decimal):
                    return None
                rate = self.currency(row).get("exchangerate", Decimal(1))
                assert isinstance(rate, Decimal)
                return value if rate == 1 else round_half_away(value / rate, 4)

            return base
        if name == "exchangerate" and table != "transactioncurrency":
            return lambda row: self.currency(row).get("exchangerate") if row.get("transactioncurrencyid") else None
        if (table, name) == ("uom", "isschedulebaseuom"):
            return lambda row: row.get("baseuom") is None
        if table in PARENT_LINES:
            return self._from_parent(table, name)
        if "ownerid" in columns and name in ("owninguser", "owningteam", "owningbusinessunit"):
            return self._owning(name, _stored("ownerid"))
        if name in ("accountid", "contactid") and "customerid" in columns:
            kind = name[:-2]

            def customer(row: Row) -> Value:
                ref = row.get("customerid")
                return ref if isinstance(ref, Ref) and ref.table == kind else None

            return customer
        if name.endswith("_composite"):
            prefix = name.removesuffix("composite")

            def composite(row: Row) -> Value:
                lines = [row.get(f"{prefix}line{n}") for n in (1, 2, 3)]
                place = [row.get(f"{prefix}{part}") for part in ("city", "stateorprovince", "postalcode")]
                lines.append(", ".join(str(part) for part in place if part) or None)
                lines.append(row.get(f"{prefix}country"))
                return "\r\n".join(str(line) for line in lines if line) or None

            return composite
        return None

    def _from_parent(self, table: str, name: str) -> Read | None:
        parent_table, parent_column = PARENT_LINES[table]

        def parent(row: Row) -> Row:
            ref = row.get(parent_column)
            return (self.store.get(parent_table, ref.id) if isinstance(ref, Ref) else None) or {}

        sources = {
            "ownerid": "ownerid",
            f"{parent_table}statecode": "statecode",
            f"{parent_table}ispricelocked": "ispricelocked",
        }
        if name in sources:
            source = sources[name]
            return lambda row: parent(row).get(source)
        if name in ("owninguser", "owningteam", "owningbusinessunit"):
            return self._owning(name, lambda row: parent(row).get("ownerid"))
        return None

    def _owning(self, name: str, owner: Read) -> Read:
        if name == "owningbusinessunit":

            def unit(row: Row) -> Value:
                ref = owner(row)
                record = self.store.get(ref.table, ref.id) if isinstance(ref, Ref) else None
                return record.get("businessunitid") if record else None

            return unit
        kind = "systemuser" if name == "owninguser" else "team"

        def owning(row: Row) -> Value:
            ref = owner(row)
            return ref if isinstance(ref, Ref) and ref.table == kind else None

        return owning

    # ------------------------------------------------ relationships

    def target_row(self, ref: Value) -> Row | None:
        if not isinstance(ref, Ref) or ref.table not in self.store.tables:
            return None
        return self.store.get(ref.table, ref.id)

    def follow(self, table: str, lookup: str) -> tuple[str, Callable[[Row], Row | None]]:
        """One step along a single-valued navigation property."""
        relationship = self.lookup(table, lookup)[0]
        read = self.reader(self.schema.tables[table].columns[relationship.column])
        target = relationship.referenced
        if target not in self.schema.tables:
            raise bad_request(f"The table '{target}' is not part of this organization.")

        def step(row: Row) -> Row | None:
            ref = read(row)
            return self.target_row(ref) if isinstance(ref, Ref) and ref.table == target else None

        return target, step

    def gather(self, table: str, collection: str) -> tuple[str, Callable[[Row], Iterable[Row]]]:
        """The rows on the other end of a collection-valued navigation property."""
        relationship = self.schema.tables[table].collections.get(collection)
        if relationship is None:
            raise bad_request(
                f"Could not find a property named '{collection}' on type 'Microsoft.Dynamics.CRM.{table}'."
            )
        id_column = self.schema.tables[table].id_column
        data = self.store.tables[relationship.referencing]
        column = relationship.column
        if not self.is_stored(self.schema.tables[relationship.referencing].columns[column]):
            read = self.reader(self.schema.tables[relationship.referencing].columns[column])

            def scan(row: Row) -> Iterable[Row]:
                wanted = Ref(table, str(row[id_column]))
                return [child for child in data.in_order() if read(child) == wanted]

            return relationship.referencing, scan

        def rows(row: Row) -> Iterable[Row]:
            children = data.rows
            return [
                child
                for child in (children[child_id] for child_id in data.find(column, row[id_column]))
                if child[column].table == table  # type: ignore[union-attr]
            ]

        return relationship.referencing, rows

    # ------------------------------------------------ indexes

    def ids_where(self, column: Column, values: Iterable[Value]) -> list[str] | None:
        data = self.store.tables[column.table]
        if column.name == self.schema.tables[column.table].id_column:
            return [value for value in dict.fromkeys(values) if isinstance(value, str) and value in data.rows]
        if column.type in OPTION_TYPES or column.type == "Boolean" or not self.is_stored(column):
            return None
        found: dict[str, None] = {}
        for value in values:
            found.update(dict.fromkeys(data.find(column.name, value)))
        return list(found)

    def ids_referring(self, table: str, lookup: str, ids: Iterable[str]) -> list[str] | None:
        relationship = self.lookup(table, lookup)[0]
        return self.ids_where(self.schema.tables[table].columns[relationship.column], ids)


def _stored(name: str) -> Read:
    return lambda row: row.get(name)
