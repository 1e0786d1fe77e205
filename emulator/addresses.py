"""Addresses as rows (`customeraddress`). Numbers 1 and 2 are columns of the account, further ones stand by themselves.

See docs/dataverse.md, "Accounts".
"""

from __future__ import annotations

from .callers import Caller
from .errors import CrmError
from .metadata import Table
from .records import Records
from .rules import Rules
from .store import Ref, Row, Value

ADDRESS = "customeraddress"
OWN = (1, 2)
"""The numbers of the addresses that an account has in its own columns."""


class Addresses:
    """Keeps the rows of an account's own addresses as its columns are, and the other way round."""

    def __init__(self, records: Records, owner: Table) -> None:
        self.records = records
        self.owner = owner
        self.table = records.schema.tables[ADDRESS]
        self.columns = {
            number: {
                name: own
                for name, column in self.table.columns.items()
                if column.create
                and (own := f"address{number}_{name}") in owner.columns
                and owner.columns[own].options == column.options
            }
            for number in OWN
        }

    def rows(self, owner_id: str) -> dict[int, Row]:
        """The address rows of an account by their number."""
        data = self.records.store.tables[ADDRESS]
        found = [data.rows[row_id] for row_id in data.find("parentid", owner_id)]
        return {int(str(row.get("addressnumber", 0))): row for row in found}

    def follow(self, owner_id: str, caller: Caller) -> None:
        """Give the rows what the columns have; rows that are not there are made."""
        owner = self.records.store.get(self.owner.name, owner_id)
        assert owner is not None
        present = self.rows(owner_id)
        ids: dict[str, Value] = {}
        for number, columns in self.columns.items():
            values = {name: owner.get(own) for name, own in columns.items()}
            row = present.get(number)
            if row is None:
                new: Row = {
                    **{name: value for name, value in values.items() if value is not None},
                    "addressnumber": number,
                    "objecttypecode": self.owner.name,
                    "parentid": Ref(self.owner.name, owner_id),
                }
                ids[f"address{number}_addressid"] = self.records.add(self.table, new, caller)
            elif any(row.get(name) != value for name, value in values.items()):
                self.records.write(self.table, str(row[self.table.id_column]), {**row, **values}, caller)
        if ids:
            self.records.write(self.owner, owner_id, {**owner, **ids}, caller)

    def lead(self, address: Row, changes: dict[str, Value], caller: Caller) -> None:
        """Give the columns what a row of an own address was given."""
        columns = self.columns.get(int(str(address.get("addressnumber", 0))), {})
        values = {columns[name]: value for name, value in changes.items() if name in columns}
        parent = address.get("parentid")
        owner = self.records.reader.target_row(parent)
        if values and owner is not None and isinstance(parent, Ref) and parent.table == self.owner.name:
            self.records.write(self.owner, parent.id, {**owner, **values}, caller)


class AddressRules(Rules):
    """`customeraddress`."""

    def __init__(self, addresses: Addresses) -> None:
        super().__init__(addresses.table)
        self.addresses = addresses

    def create(self, row_id: str, row: Row, caller: Caller, with_parent: bool) -> None:
        parent = row.get("parentid")
        if not isinstance(parent, Ref):
            raise CrmError(400, "0x80040203", "The parent of the address is missing ('parentid').")
        row["objecttypecode"] = parent.table
        if row.get("addressnumber") is None:
            row["addressnumber"] = max((*OWN, *self.addresses.rows(parent.id))) + 1

    def updated(self, row_id: str, old: Row, changes: dict[str, Value], caller: Caller) -> None:
        self.addresses.lead(old, changes, caller)

    def delete(self, row_id: str, old: Row, caller: Caller) -> None:
        if old.get("addressnumber") in OWN:
            raise CrmError(400, "0x80040203", "An address that is in the columns of its account cannot be deleted.")


def install(records: Records, owner: Table) -> Addresses:
    addresses = Addresses(records, owner)
    records.rules[ADDRESS] = AddressRules(addresses)
    return addresses
