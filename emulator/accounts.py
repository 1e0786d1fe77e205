"""Accounts: what a new one has, that no account is above itself, and merging two of them.

See docs/dataverse.md, "Accounts".
"""

from __future__ import annotations

from . import addresses
from .callers import Caller, allow
from .errors import CrmError, bad_payload, not_implemented
from .parameters import Json, Refs, record_parameter
from .records import Records
from .rules import Rules
from .states import ACTIVE
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
        self.addresses = addresses.install(records, self.table)

    def create(self, row_id: str, row: Row, caller: Caller, with_parent: bool) -> None:
        super().create(row_id, row, caller, with_parent)
        self._check_parent(row_id, row.get("parentaccountid"))
        for column, value in DEFAULTS.items():
            if row.get(column) is None:
                row[column] = value

    def created(self, row_id: str, caller: Caller, with_parent: bool) -> None:
        self.addresses.follow(row_id, caller)

    def updated(self, row_id: str, old: Row, changes: dict[str, Value], caller: Caller) -> None:
        if any(name.startswith("address") for name in changes):
            self.addresses.follow(row_id, caller)

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


class Merging:
    """Merge: one account takes over what another one has, which stays behind inactive, with its number."""

    def __init__(self, records: Records) -> None:
        self.records = records
        self.table = records.schema.tables[ACCOUNT]

    def merge(self, body: Json, caller: Caller, refs: Refs) -> None:
        content = body.get("UpdateContent")
        if not isinstance(content, dict) or not isinstance(body.get("PerformParentingChecks"), bool):
            raise bad_payload("Merge", "The action needs 'UpdateContent' and 'PerformParentingChecks'.")
        target, subordinate = (record_parameter(self.records, body, name, refs) for name in ("Target", "Subordinate"))
        if {target.table, subordinate.table} != {ACCOUNT}:
            raise not_implemented(f"Merging {target.table} with {subordinate.table}")
        if target == subordinate:
            raise CrmError(
                400, "0x80045305", "Merge cannot be performed on master and sub-entities that are identical."
            )
        allow(caller, "Write", self.table)
        kept, left = self._active(target), self._active(subordinate)
        if kept.get("parentaccountid") == subordinate:
            raise CrmError(400, "0x80045300", "Merge could create cyclical parenting.")
        self.records.update(self.table, target.id, content, caller, refs)
        for relationship in self.table.referenced_by:
            if relationship.on_merge != "Cascade":
                continue
            below = self.records.schema.tables[relationship.referencing]
            data = self.records.store.tables[below.name]
            for other in data.find(relationship.column, subordinate):
                row = data.rows[other]
                if row.get(relationship.column) == subordinate:
                    self.records.write(below, other, {**row, relationship.column: target}, caller)
        merged: Row = {"merged": True, "masterid": target, "statecode": 1, "statuscode": 2}
        self.records.write(self.table, subordinate.id, {**left, **merged}, caller)

    def _active(self, account: Ref) -> Row:
        row = self.records.store.get(ACCOUNT, account.id)
        assert row is not None
        if row.get("statecode") != ACTIVE:
            raise CrmError(400, "0x80045304", "Merge cannot be performed on entity that is inactive.")
        return row


def install(records: Records) -> None:
    records.rules[ACCOUNT] = AccountRules(records)
