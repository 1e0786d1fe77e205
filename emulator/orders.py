"""What CRM does with orders beyond what all documents have: their states, SOP mode, closing them.

See docs/dataverse.md, "States" and "Closing orders".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from . import pricing
from .callers import Caller, allow
from .documents import Documents, HeaderRules, Kind, LineRules
from .errors import CrmError, bad_payload, read_only
from .records import Records
from .states import ACTIVE, STATE_COLUMNS, default_status, mismatch
from .store import Ref, Row, Value

SUBMITTED, CANCELED, FULFILLED, INVOICED = range(1, 5)
CLOSED = (CANCELED, FULFILLED, INVOICED)
CLOSING = "orderclose"
BY_ACTION = {
    FULFILLED: (
        "This message can not be used to set the state of SalesOrder to Fullfilled. In order to set state of "
        "SalesOrder, use the FullfillSalesOrder Request"
    ),
    CANCELED: (
        "This message can not be used to set the state of SalesOrder to Canceled. In order to set state of "
        "SalesOrder, use the CancelSalesOrder Request"
    ),
}


class Orders(Documents):
    """`salesorder` and `salesorderdetail`."""

    kind = Kind(
        header="salesorder",
        line="salesorderdetail",
        parent="salesorderid",
        line_name="salesorderdetailname",
        number="ordernumber",
        prefix="orderprefix",
        default_prefix="ORD",
        next_number="currentordernumber",
        noun="order",
    )

    def priced(self, header: Row, caller: Caller) -> bool:
        return not (self.organization().sop and (caller.integration or header.get("statecode") == SUBMITTED))

    def recalculate(self, header_id: str, caller: Caller) -> None:
        header = self._existing(header_id)
        if not (self.organization().sop and header.get("statecode") == SUBMITTED):
            super().recalculate(header_id, caller)


class OrderRules(HeaderRules):
    """`salesorder`."""

    defaults: ClassVar[dict[str, Value]] = {
        "ispricelocked": False,
        "willcall": False,
        "skippricecalculation": 0,
        "pricingerrorcode": pricing.NO_ERROR,
    }

    def first_state(self, row: Row) -> int:
        return SUBMITTED if self.documents.organization().sop else ACTIVE

    def check_update(self, row_id: str, old: Row, changes: dict[str, Value]) -> None:
        """A closed order accepts no change, a submitted one only a new state. Some states need a special action."""
        state = old.get("statecode", ACTIVE)
        if state in CLOSED:
            raise read_only(self.table.name, row_id)
        if state == SUBMITTED and changes.keys() - STATE_COLUMNS:
            raise read_only(self.table.name, row_id)
        new = changes.get("statecode", state)
        if new != state and new in BY_ACTION:
            assert isinstance(new, int)
            raise CrmError(400, "0x80040203", BY_ACTION[new])


class Closing:
    """FulfillSalesOrder and CancelSalesOrder."""

    def __init__(self, records: Records) -> None:
        self.records = records
        self.table = records.schema.tables[Orders.kind.header]
        self.activities = records.schema.tables[CLOSING]

    def _close(self, body: Mapping[str, object], caller: Caller, refs: Mapping[str, Ref], state: int) -> None:
        close, status = body.get("OrderClose"), body.get("Status")
        if not isinstance(close, dict) or not isinstance(status, int) or isinstance(status, bool):
            raise bad_payload("OrderClose", "The action needs 'OrderClose' and 'Status'.")
        unknown = body.keys() - {"OrderClose", "Status"}
        if unknown:
            raise bad_payload("OrderClose", f"The action has no parameter '{min(unknown)}'.")
        kind = str(close.get("@odata.type", self.activities.full_name)).lstrip("#")
        if kind != self.activities.full_name:
            raise bad_payload("OrderClose", f"'{kind}' is not '{self.activities.full_name}'.")
        bound = close.get("salesorderid@odata.bind")
        if not isinstance(bound, str):
            raise CrmError(400, "0x80040203", "OrderClose needs 'salesorderid@odata.bind'.")
        target = self.records.references.find(bound, refs)
        order, order_id = self.records.reader.target_row(target), target.id
        if target.table != self.table.name or order is None:
            raise bad_payload("OrderClose", f"'salesorderid' cannot be bound to a record of '{target.table}'.")
        for right in ("Write", "AppendTo"):
            allow(caller, right, self.table)
        if order.get("statecode") not in (ACTIVE, SUBMITTED):
            raise CrmError(400, "0x80040233", "The object is not in a valid state to perform this operation.")
        statuses = self.table.columns["statuscode"]
        if status == -1:
            status = default_status(statuses, state)
        if statuses.states.get(status) != state:
            raise mismatch(self.table, status, state, order_id)
        activity_id = self.records.create(self.activities, close, caller, refs)
        activity = self.records.store.get(CLOSING, activity_id) or {}
        done = self.records.now()
        defaults: Row = {"actualend": done, "ordernumber": order.get("ordernumber"), **activity}
        self.records.write(self.activities, activity_id, {**defaults, "statecode": 1, "statuscode": 2}, caller)
        self.records.write(self.table, order_id, {**order, "statecode": state, "statuscode": status}, caller)

    def fulfill(self, body: Mapping[str, object], caller: Caller, refs: Mapping[str, Ref]) -> None:
        self._close(body, caller, refs, FULFILLED)

    def cancel(self, body: Mapping[str, object], caller: Caller, refs: Mapping[str, Ref]) -> None:
        self._close(body, caller, refs, CANCELED)


def install(records: Records) -> Orders:
    """Register the rules of the two order tables."""
    orders = Orders(records)
    records.rules[orders.kind.header] = OrderRules(orders)
    records.rules[orders.kind.line] = LineRules(orders)
    return orders
