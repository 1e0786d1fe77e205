"""Who asks, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import CrmError
from .metadata import Table

PRIVILEGES = ("Create", "Read", "Write", "Delete", "Append", "AppendTo", "Assign", "Share")
PRIVILEGES_OF = {
    "invoicedetail": "Invoice",
    "orderclose": "Activity",
    "salesorder": "Order",
    "salesorderdetail": "Order",
}


@dataclass(frozen=True)
class Caller:
    """The caller: a row of systemuser."""

    id: str
    integration: bool = False
    denied: frozenset[str] = frozenset()
    time_zone: str = "UTC"


def privilege_name(right: str, table: Table) -> str:
    """`prvWriteOrder`; lines share their document's privileges."""
    return f"prv{right}{PRIVILEGES_OF.get(table.name, table.schema_name)}"


def allow(caller: Caller, right: str, table: Table) -> None:
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
