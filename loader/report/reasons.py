"""What to do about each reason, for the report. docs/promises.md says the same; a test holds them together."""

from __future__ import annotations

_REMEDIES = {
    "account_not_found": "sync the customer, or correct accountnumber; the order goes with the next push",
    "account_ambiguous": "keep one",
    "product_not_found": "sync the product; keep one; enter the item in GP",
    "product_ambiguous": "sync the product; keep one; enter the item in GP",
    "uom_not_found": "create the unit; enter it in GP; rename the schedule",
    "uom_ambiguous": "create the unit; enter it in GP; rename the schedule",
    "status_unmapped": "add it, dbt seed",
    "order_ambiguous": "rename or delete all but one",
    "order_too_large": "enter its lines in CRM by hand, or split it in GP",
    "line_repeated": "dbt test --select crm_salesorderdetail shows them",
    "value_out_of_range": "correct it in GP, or widen CRM's column",
    "plan_stale": "plan again",
    "crm_rejected": "as the message says",
    "crm_unavailable": "run again",
    "interrupted": "run again",
}


def remedy(reason: str) -> str:
    """Blank for a reason that only this company's models have."""
    return _REMEDIES.get(reason, "")
