"""Price lists (`pricelevel`) and the prices in them (`productpricelevel`)."""

from __future__ import annotations

from decimal import Decimal

from .callers import Caller
from .errors import CrmError
from .products import FAMILY, RETIRED
from .records import Records
from .rules import Rules
from .store import Ref, Row, Value

PRICE_LIST, ITEM = "pricelevel", "productpricelevel"


class PriceListRules(Rules):
    """`pricelevel`."""

    def __init__(self, records: Records) -> None:
        super().__init__(records.schema.tables[PRICE_LIST])
        self.records = records

    def create(self, row_id: str, row: Row, caller: Caller, with_parent: bool) -> None:
        super().create(row_id, row, caller, with_parent)
        self._check_name(row_id, row.get("name"))

    def update(self, row_id: str, old: Row, changes: dict[str, Value], caller: Caller) -> None:
        super().update(row_id, old, changes, caller)
        if "name" in changes:
            self._check_name(row_id, changes["name"])

    def _check_name(self, row_id: str, name: Value) -> None:
        if name is None:
            raise CrmError(400, "0x80043b0e", "The name can not be null.")
        if any(other != row_id for other in self.records.store.tables[PRICE_LIST].find("name", name)):
            raise CrmError(400, "0x80043b0f", "The name already exists.")


class PriceRules(Rules):
    """`productpricelevel`: one price for each price list, product and unit, in the price list's currency."""

    def __init__(self, records: Records) -> None:
        super().__init__(records.schema.tables[ITEM])
        self.records = records

    def create(self, row_id: str, row: Row, caller: Caller, with_parent: bool) -> None:
        self._check(row_id, row)
        if self._product(row).get("statecode") == RETIRED:
            raise CrmError(400, "0x80061009", "Retired products can not be added to pricelists.")
        row["transactioncurrencyid"] = (self.records.reader.target_row(row["pricelevelid"]) or {}).get(
            "transactioncurrencyid"
        )
        unit = self.records.reader.target_row(row["uomid"]) or {}
        defaults: dict[str, Value] = {
            "uomscheduleid": unit.get("uomscheduleid"),
            "amount": Decimal(0),
            "pricingmethodcode": 1,
            "quantitysellingcode": 1,
            "roundingpolicycode": 1,
        }
        for column, value in defaults.items():
            if row.get(column) is None:
                row[column] = value

    def update(self, row_id: str, old: Row, changes: dict[str, Value], caller: Caller) -> None:
        if changes.keys() & {"productid", "uomid"}:
            self._check(row_id, {**old, **changes})

    def _product(self, row: Row) -> Row:
        return self.records.reader.target_row(row["productid"]) or {}

    def _check(self, row_id: str, row: Row) -> None:
        for column, code, message in (
            ("pricelevelid", "0x80043b12", "The price level id is missing."),
            ("productid", "0x80043b11", "The product id is missing."),
            ("uomid", "0x80043b0d", "The unit id is missing."),
        ):
            if not isinstance(row.get(column), Ref):
                raise CrmError(400, code, message)
        product = self._product(row)
        if product.get("productstructure") == FAMILY:
            raise CrmError(400, "0x8004f902", "You can't add a product family to a pricelist.")
        unit = self.records.reader.target_row(row["uomid"]) or {}
        if unit.get("uomscheduleid") != product.get("defaultuomscheduleid"):
            raise CrmError(400, "0x80043b14", "The specified unit is not valid for this product.")
        price_list = self.records.reader.target_row(row["pricelevelid"]) or {}
        if product.get("transactioncurrencyid") not in (None, price_list.get("transactioncurrencyid")):
            raise CrmError(
                400, "0x80048cea", "The currency of the product does not match the currency of the price list."
            )
        data = self.records.store.tables[ITEM]
        same = (row["pricelevelid"], row["uomid"])
        for other in data.find("productid", row["productid"]):
            found = data.rows[other]
            if other != row_id and (found.get("pricelevelid"), found.get("uomid")) == same:
                raise CrmError(400, "0x80043b08", "This product and unit combination has a price for this price list.")


def install(records: Records) -> None:
    records.rules[PRICE_LIST] = PriceListRules(records)
    records.rules[ITEM] = PriceRules(records)
