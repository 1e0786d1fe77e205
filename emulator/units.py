"""Unit groups (`uomschedule`) and their units (`uom`): the base unit, what is built on it, and loops.

See docs/dataverse.md, "Units".
"""

from __future__ import annotations

from decimal import Decimal

from .callers import Caller
from .errors import CrmError, duplicate_record
from .records import Records
from .rules import Rules
from .store import Ref, Row, Value, fold

SCHEDULE, UNIT = "uomschedule", "uom"


class ScheduleRules(Rules):
    """`uomschedule`: its base unit comes with it."""

    def __init__(self, records: Records) -> None:
        super().__init__(records.schema.tables[SCHEDULE])
        self.records = records

    def create(self, row_id: str, row: Row, caller: Caller, with_parent: bool) -> None:
        super().create(row_id, row, caller, with_parent)
        if row.get("baseuomname") is None:
            raise CrmError(400, "0x80043810", "baseuomname not specified")
        base: Row = {
            "name": row["baseuomname"],
            "uomscheduleid": Ref(SCHEDULE, row_id),
            "quantity": Decimal("1.00000"),
        }
        self.records.add(self.records.schema.tables[UNIT], base, caller)


class UnitRules(Rules):
    """`uom`: every unit but the base unit is built on another unit of its group."""

    def __init__(self, records: Records) -> None:
        super().__init__(records.schema.tables[UNIT])
        self.records = records

    def create(self, row_id: str, row: Row, caller: Caller, with_parent: bool) -> None:
        if row.get("uomscheduleid") is None:
            raise CrmError(400, "0x80043b0a", "The unit schedule id is missing.")
        self._check_name(row_id, row)
        self._check_base(row_id, row)
        if row.get("quantity") is None:
            raise CrmError(400, "0x80081012", "The Quantity is missing.")

    def update(self, row_id: str, old: Row, changes: dict[str, Value], caller: Caller) -> None:
        row = {**old, **changes}
        if "name" in changes:
            self._check_name(row_id, row)
        if old.get("baseuom") is not None:
            if "baseuom" in changes:
                self._check_base(row_id, row)
            return
        if changes.get("baseuom") is not None:
            raise CrmError(
                400,
                "0x80043b17",
                "Do not use a base unit as the value for a primary unit. This value should always be null.",
            )
        if "quantity" in changes:
            raise CrmError(400, "0x80043b18", "Do not modify the Quantity field when you update the primary unit.")

    def delete(self, row_id: str, old: Row, caller: Caller) -> None:
        if old.get("baseuom") is None:
            raise CrmError(400, "0x80043b03", "The base unit of a schedule cannot be deleted.")

    def _check_name(self, row_id: str, row: Row) -> None:
        name, schedule = row.get("name"), row["uomscheduleid"]
        if name is None:
            raise CrmError(400, "0x80043b26", "The unit name cannot be null.")
        if not self.records.readings.unit_names_are_unique:
            return
        data = self.records.store.tables[UNIT]
        for other in data.find("uomscheduleid", schedule):
            if other != row_id and fold(data.rows[other].get("name") or "") == fold(name):
                raise duplicate_record()

    def _check_base(self, row_id: str, row: Row) -> None:
        base = row.get("baseuom")
        found = self.records.reader.target_row(base)
        if not isinstance(base, Ref) or found is None:
            raise CrmError(400, "0x80043b1c", "The base unit does not exist.")
        if found.get("uomscheduleid") != row["uomscheduleid"]:
            raise CrmError(400, "0x80043b0b", "The base unit does not belong to the schedule.")
        passed: set[Value] = set()
        while isinstance(base, Ref):
            if base.id == row_id:
                raise CrmError(400, "0x80043b1a", "Using this base unit would create a loop in the unit hierarchy.")
            if base in passed:
                raise CrmError(400, "0x80043b19", "Loop exists in the unit hierarchy.")
            passed.add(base)
            base = (self.records.reader.target_row(base) or {}).get("baseuom")


def install(records: Records) -> None:
    records.rules[SCHEDULE] = ScheduleRules(records)
    records.rules[UNIT] = UnitRules(records)
