"""What CRM does with invoices beyond what all documents have: their states.

See docs/dataverse.md, "Invoices".
"""

from __future__ import annotations

from typing import ClassVar

from . import pricing
from .callers import Caller
from .documents import Documents, HeaderRules, Kind, LineRules
from .errors import CrmError, read_only
from .records import Records
from .states import ACTIVE, STATE_COLUMNS, default_status
from .store import Row, Value

CLOSED = 1
"""A state of old versions, which has become Paid and Canceled."""


class Invoices(Documents):
    """`invoice` and `invoicedetail`."""

    kind = Kind(
        header="invoice",
        line="invoicedetail",
        parent="invoiceid",
        line_name="invoicedetailname",
        number="invoicenumber",
        prefix="invoiceprefix",
        default_prefix="INV",
        next_number="currentinvoicenumber",
        noun="invoice",
    )


class InvoiceRules(HeaderRules):
    """`invoice`."""

    defaults: ClassVar[dict[str, Value]] = {
        "ispricelocked": False,
        "willcall": False,
        "pricingerrorcode": pricing.NO_ERROR,
    }

    def create(self, row_id: str, row: Row, caller: Caller, with_parent: bool) -> None:
        """A new invoice is New, even if another status of Active was sent."""
        super().create(row_id, row, caller, with_parent)
        row["statuscode"] = default_status(self.table.columns["statuscode"], ACTIVE)

    def check_update(self, row_id: str, old: Row, changes: dict[str, Value]) -> None:
        """A paid or canceled invoice accepts only a change of its state."""
        if old.get("statecode", ACTIVE) != ACTIVE and changes.keys() - STATE_COLUMNS:
            raise read_only(self.table.name, row_id)
        if changes.get("statecode") == CLOSED:
            raise CrmError(
                400,
                "0x80043b25",
                "The Invoice Close API is deprecated. It has been replaced by the Pay and Cancel APIs.",
            )


def install(records: Records) -> Invoices:
    """Register the rules of the two invoice tables."""
    invoices = Invoices(records)
    records.rules[invoices.kind.header] = InvoiceRules(invoices)
    records.rules[invoices.kind.line] = LineRules(invoices)
    return invoices
