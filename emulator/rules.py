"""What a table does beyond its metadata. Tables with rules of their own derive them from these."""

from __future__ import annotations

from .callers import Caller
from .metadata import Table
from .states import ACTIVE, settle
from .store import Row, Value


class Rules:
    """The rules of a table that has none of its own: what every table does with its states."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self._has_states = {"statecode", "statuscode"} <= table.columns.keys()

    def first_state(self, row: Row) -> int:
        """The state of a new record, whatever was sent."""
        return ACTIVE

    def create(self, row_id: str, row: Row, caller: Caller, with_parent: bool) -> None:
        if not self._has_states:
            return
        state = self.first_state(row)
        changes: dict[str, Value] = {"statecode": state, "statuscode": row.get("statuscode")}
        settle(self.table, changes, state, row_id)
        row.update(changes)

    def created(self, row_id: str, caller: Caller, with_parent: bool) -> None:
        return

    def update(self, row_id: str, old: Row, changes: dict[str, Value], caller: Caller) -> None:
        if self._has_states:
            state = old.get("statecode", ACTIVE)
            assert isinstance(state, int)
            settle(self.table, changes, state, row_id)

    def updated(self, row_id: str, old: Row, changes: dict[str, Value], caller: Caller) -> None:
        return

    def delete(self, row_id: str, old: Row, caller: Caller) -> None:
        return

    def deleted(self, row_id: str, old: Row, caller: Caller) -> None:
        return
