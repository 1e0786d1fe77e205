"""What the demo shows of the sample company: with everything switched on, from a CRM that has next to nothing."""

from __future__ import annotations

from typing import Any

VARS: dict[str, Any] = {
    "sync": {"units": True, "products": True, "customers": True, "transferred_orders": True, "invoices": True},
    "invoices_since": "2027-03-01",
}
"""dbt's vars. The company's documents are of fixed days, so the window of its invoices begins on one, too."""

ORDERS = "salesorder"
EXPLAINED = "ORDST2226"
EDITED = "ORDST2225"
TRANSFERRED = "ORDST2240"
INVOICE = "INVST2240"
"""The invoice that order `TRANSFERRED` becomes."""
