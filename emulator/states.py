"""States and status reasons: which of them belong together."""

from __future__ import annotations

from .errors import CrmError
from .metadata import Column, Table
from .store import Value

ACTIVE = 0
"""The state of a new record in nearly every table."""
STATE_COLUMNS = frozenset({"statecode", "statuscode"})


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
    """Complete a change of state or status, or refuse a pair that does not belong together."""
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
