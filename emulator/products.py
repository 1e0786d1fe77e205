"""Products: what one needs, the state it is born with, and which states follow which.

See docs/dataverse.md, "Products".
"""

from __future__ import annotations

from .callers import Caller
from .errors import CrmError
from .records import Records
from .rules import Rules
from .states import STATE_COLUMNS
from .store import Ref, Row, Value

PRODUCT = "product"
ACTIVE, RETIRED, DRAFT, UNDER_REVISION = range(4)
SINGLE, FAMILY, BUNDLE = 1, 2, 3
NEXT = {ACTIVE: (RETIRED, UNDER_REVISION), RETIRED: (ACTIVE,), DRAFT: (ACTIVE,), UNDER_REVISION: (ACTIVE,)}
REFUSED = {
    (ACTIVE, ACTIVE): ("0x8004f982", "Product is already in Active State."),
    (ACTIVE, DRAFT): ("0x8004f912", "You can't set a published product to the draft state."),
    (RETIRED, RETIRED): ("0x8004f980", "Product is already in Retired State."),
    (RETIRED, DRAFT): ("0x8004f979", "It is not possible to move product from Retired to Draft State."),
    (RETIRED, UNDER_REVISION): ("0x8004f913", "You can't revise a draft or a retired product."),
    (DRAFT, DRAFT): ("0x8004f981", "Product is already in Draft State."),
    (DRAFT, RETIRED): ("0x8004f978", "You can't retire a product that's in the draft state."),
    (DRAFT, UNDER_REVISION): ("0x8004f913", "You can't revise a draft or a retired product."),
    (UNDER_REVISION, UNDER_REVISION): ("0x8004f883", "You can only revise an active product."),
    (UNDER_REVISION, DRAFT): ("0x80061035", "You can't set a published or retired product record to the draft state."),
    (UNDER_REVISION, RETIRED): ("0x80043af9", "The state is not valid for this object."),
}


class ProductRules(Rules):
    """`product`."""

    def __init__(self, records: Records) -> None:
        super().__init__(records.schema.tables[PRODUCT])
        self.records = records

    def first_state(self, row: Row) -> int:
        """Draft, unless the organisation makes products without a parent Active."""
        organization = next(iter(self.records.store.tables["organization"].rows.values()))
        born_active = organization.get("createproductswithoutparentinactivestate")
        return ACTIVE if born_active and row.get("parentproductid") is None else DRAFT

    def create(self, row_id: str, row: Row, caller: Caller, with_parent: bool) -> None:
        super().create(row_id, row, caller, with_parent)
        self._check_number(row_id, row)
        self._check_units(row)
        self._check_decimals(row)
        self._check_parent(row)
        for column, value in (("productstructure", SINGLE), ("iskit", False), ("isstockitem", False)):
            if row.get(column) is None:
                row[column] = value

    def update(self, row_id: str, old: Row, changes: dict[str, Value], caller: Caller) -> None:
        state = old.get("statecode", ACTIVE)
        assert isinstance(state, int)
        self._check_content(state, old, changes)
        if changes.get("statecode") is not None:
            self._check_step(state, changes["statecode"], old)
        super().update(row_id, old, changes, caller)
        row = {**old, **changes}
        if "productnumber" in changes:
            self._check_number(row_id, row)
        if changes.keys() & {"defaultuomid", "defaultuomscheduleid"}:
            self._check_units(row)
        if "quantitydecimal" in changes:
            self._check_decimals(row)

    # ------------------------------------------------ states

    def _check_content(self, state: int, old: Row, changes: dict[str, Value]) -> None:
        """A retired product takes nothing but another state; a published family or bundle has to be revised first."""
        if not changes.keys() - STATE_COLUMNS:
            return
        published = state == ACTIVE and old.get("productstructure", SINGLE) != SINGLE
        if state == RETIRED or published:
            raise CrmError(400, "0x8004f995", "Product, product family and bundle can only be updated in draft state.")

    def _check_step(self, state: int, new: Value, old: Row) -> None:
        assert isinstance(new, int)
        if new not in NEXT[state]:
            code, message = REFUSED[state, new]
            raise CrmError(400, code, message)
        parent = old.get("parentproductid")
        single = old.get("productstructure", SINGLE) == SINGLE and not old.get("iskit")
        if state == RETIRED and (parent is not None or not single):
            raise CrmError(
                400,
                "0x80081017",
                "You can't activate a retired product family or bundle. Also, you can't activate a retired product "
                "that is part of a product family.",
            )
        if state == DRAFT and parent is not None and self._state_of(parent) != ACTIVE:
            raise CrmError(
                400,
                "0x8004f909",
                "You can't publish this record because it belongs to a product family that isn't published.",
            )

    def _state_of(self, product: Value) -> Value:
        return (self.records.reader.target_row(product) or {}).get("statecode", ACTIVE)

    # ------------------------------------------------ content

    def _check_number(self, row_id: str, row: Row) -> None:
        number = row.get("productnumber")
        if number is None:
            raise CrmError(400, "0x80043b05", "The product number can not be null.")
        if any(other != row_id for other in self.records.store.tables[PRODUCT].find("productnumber", number)):
            raise CrmError(
                400,
                "0x80043b06",
                "The specified product ID conflicts with the product ID of an existing record. Specify a different "
                "product ID and try again.",
            )

    def _check_units(self, row: Row) -> None:
        schedule, unit = row.get("defaultuomscheduleid"), row.get("defaultuomid")
        if schedule is None:
            raise CrmError(400, "0x80043b13", "The unit schedule id of the product is missing.")
        if unit is None:
            raise CrmError(400, "0x80043b0d", "The unit id is missing.")
        if (self.records.reader.target_row(unit) or {}).get("uomscheduleid") != schedule:
            raise CrmError(400, "0x80043b16", "The unit does not exist in the specified unit schedule.")

    def _check_decimals(self, row: Row) -> None:
        if row.get("quantitydecimal") is None:
            raise CrmError(400, "0x80043b07", "The number of decimal places on the quantity is invalid.")

    def _check_parent(self, row: Row) -> None:
        parent = row.get("parentproductid")
        if not isinstance(parent, Ref):
            return
        found = self.records.reader.target_row(parent) or {}
        if found.get("productstructure", SINGLE) != FAMILY:
            raise CrmError(400, "0x8004f998", "You can only select a product family as the parent.")
        if found.get("statecode", ACTIVE) not in (ACTIVE, DRAFT):
            raise CrmError(400, "0x8004f906", "You can only set product families in a draft or active state as parent.")


def install(records: Records) -> None:
    records.rules[PRODUCT] = ProductRules(records)
