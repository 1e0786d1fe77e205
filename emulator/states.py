"""Which state an order may be given, and what a state forbids."""

from __future__ import annotations

from .errors import CrmError, read_only
from .metadata import Column, Table
from .store import Row, Value

ACTIVE, SUBMITTED, CANCELED, FULFILLED, INVOICED = range(5)
CLOSED = (CANCELED, FULFILLED, INVOICED)
STATE_COLUMNS = frozenset({"statecode", "statuscode"})
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


def mismatch(table: Table, status: Value, state: int, record_id: str) -> CrmError:
    label = table.columns["statecode"].options.get(state, str(state))
    return CrmError(
        400,
        "0x80048408",
        f"{status} is not a valid status code for state code {table.schema_name}State.{label} on {table.name} "
        f"with Id {record_id}.",
    )


def default_status(column: Column, state: int) -> int:
    """The first status reason of a state."""
    return min(status for status, its_state in column.states.items() if its_state == state)


def settle(table: Table, changes: dict[str, Value], old_state: int, record_id: str) -> None:
    """Complete a change of state or status, or refuse a pair that does not fit."""
    if not STATE_COLUMNS & changes.keys():
        return
    statuses = table.columns["statuscode"]
    state = changes.get("statecode")
    if state is None:
        changes.pop("statecode", None)
        state = old_state
    assert isinstance(state, int)
    status = changes.get("statuscode")
    if status is None:
        if "statecode" not in changes:
            changes.pop("statuscode", None)
            return
        changes["statuscode"] = default_status(statuses, state)
    elif statuses.states.get(int(str(status))) != state:
        raise mismatch(table, status, state, record_id)


def check_order_update(old: Row, changes: dict[str, Value], record_id: str) -> None:
    """A closed order takes nothing, a submitted one only a new state; some states need their own action."""
    state = old.get("statecode", ACTIVE)
    if state in CLOSED:
        raise read_only("salesorder", record_id)
    if state == SUBMITTED and changes.keys() - STATE_COLUMNS:
        raise read_only("salesorder", record_id)
    new = changes.get("statecode", state)
    if new != state and new in BY_ACTION:
        assert isinstance(new, int)
        raise CrmError(400, "0x80040203", BY_ACTION[new])
