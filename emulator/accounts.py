"""Accounts: what a new one has, and that no account is above itself.

See docs/dataverse.md, "Accounts".
"""

from __future__ import annotations

from .errors import CrmError
from .records import Caller, Records, Rules
from .store import Ref, Row, Value

ACCOUNT = "account"
DEFAULTS: dict[str, Value] = {
    **dict.fromkeys(
        (
            "creditonhold", "donotbulkemail", "donotbulkpostalmail", "donotemail", "donotfax", "donotphone",
            "donotpostalmail", "donotsendmm", "marketingonly", "merged", "participatesinworkflow",
        ),
        False,
    ),
    "followemail": True,
    **dict.fromkeys(
        (
            "accountclassificationcode", "accountratingcode", "address2_addresstypecode", "address2_freighttermscode",
            "address2_shippingmethodcode", "businesstypecode", "customersizecode", "preferredcontactmethodcode",
            "shippingmethodcode", "territorycode",
        ),
        1,
    ),
}  # fmt: skip


class AccountRules(Rules):
    """`account`."""

    def __init__(self, records: Records) -> None:
        super().__init__(records.schema.tables[ACCOUNT])
        self.records = records

    def create(self, row_id: str, row: Row, caller: Caller, with_parent: bool) -> None:
        super().create(row_id, row, caller, with_parent)
        self._check_parent(row_id, row.get("parentaccountid"))
        for column, value in DEFAULTS.items():
            if row.get(column) is None:
                row[column] = value

    def update(self, row_id: str, old: Row, changes: dict[str, Value], caller: Caller) -> None:
        super().update(row_id, old, changes, caller)
        if "parentaccountid" in changes:
            self._check_parent(row_id, changes["parentaccountid"])

    def _check_parent(self, row_id: str, parent: Value) -> None:
        passed: set[Value] = set()
        while isinstance(parent, Ref):
            if parent.id == row_id:
                raise CrmError(
                    400,
                    "0x80040507",
                    "Creating this parental association would create a loop in Accounts hierarchy.",
                )
            if parent in passed:
                raise CrmError(400, "0x80040506", "Loop exists in the accounts hierarchy.")
            passed.add(parent)
            parent = (self.records.reader.target_row(parent) or {}).get("parentaccountid")


def install(records: Records) -> None:
    records.rules[ACCOUNT] = AccountRules(records)
