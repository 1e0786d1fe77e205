"""What CRM does with orders and order lines beyond their metadata: states, SOP mode, products, pricing."""

from __future__ import annotations

import random
import string
from collections.abc import Callable
from decimal import Decimal
from typing import NamedTuple

from . import pricing
from .errors import CrmError, not_found, parent_read_only
from .reader import Reader
from .records import Caller, Records
from .states import ACTIVE, STATE_COLUMNS, SUBMITTED, check_order_update, default_status, mismatch, settle
from .store import Ref, Row, Value
from .values import round_half_away

ORDER, LINE = "salesorder", "salesorderdetail"


class Organization(NamedTuple):
    """The switches of the organisation's row that orders obey."""

    sop: bool
    built_in_pricing: bool
    discount_method: int
    pricing_precision: int


class OrderBook:
    """What both rule sets share: the organisation, the lines of an order, totals."""

    def __init__(self, records: Records) -> None:
        self.records = records
        self.reader: Reader = records.reader
        self.store = records.store
        self.schema = records.schema
        self._random = random.Random(1)
        self._known: tuple[Row, Organization] = ({}, self._read({}))

    def organization(self) -> Organization:
        row = next(iter(self.store.tables["organization"].rows.values()))
        if row is not self._known[0]:
            self._known = (row, self._read(row))
        return self._known[1]

    def _read(self, row: Row) -> Organization:
        return Organization(
            sop=bool(row.get("issopintegrationenabled")),
            built_in_pricing=bool(row.get("oobpricecalculationenabled", True)),
            discount_method=int(str(row.get("discountcalculationmethod", 0))),
            pricing_precision=int(str(row.get("pricingdecimalprecision", 2))),
        )

    def scale(self, order: Row) -> int:
        return int(str(self.reader.currency(order).get("currencyprecision", 2)))

    def lines(self, order_id: str) -> list[Row]:
        data = self.store.tables[LINE]
        return [data.rows[line_id] for line_id in data.find("salesorderid", order_id)]

    def total(self, order_id: str, caller: Caller) -> None:
        """Compute an order's totals; a changed total is a changed order."""
        order = self.store.get(ORDER, order_id)
        organization = self.organization()
        if order is None or not organization.built_in_pricing:
            return
        amounts = pricing.order_amounts(order, self.lines(order_id), self.scale(order), organization.discount_method)
        if any(order.get(column) != value for column, value in amounts.items()):
            self.records.write(self.schema.tables[ORDER], order_id, {**order, **amounts}, caller)

    def price_line(self, line: Row, order: Row) -> dict[str, Value]:
        """Unit price (given or from the price list) and amounts of one line."""
        organization = self.organization()
        if not organization.built_in_pricing:
            return {}
        error = pricing.NO_ERROR
        unit_price = line.get("priceperunit")
        locked = bool(order.get("ispricelocked"))
        if not line.get("isproductoverridden") and not line.get("ispriceoverridden") and not locked:
            unit_price, error = self._list_price(line, order, organization.pricing_precision)
        elif unit_price is None:
            error = pricing.MISSING_UNIT_PRICE
        price = unit_price if isinstance(unit_price, Decimal) else None
        return {
            "priceperunit": price,
            "pricingerrorcode": error,
            **pricing.line_amounts(line, price, self.scale(order), organization.discount_method),
        }

    def _list_price(self, line: Row, order: Row, precision: int) -> tuple[Decimal | None, int]:
        level = order.get("pricelevelid")
        if not isinstance(level, Ref):
            raise CrmError(400, "0x80043b12", "The price level id is missing.")
        items = self.store.tables["productpricelevel"]
        product = line["productid"]
        for item_id in items.find("productid", product):
            item = items.rows[item_id]
            if item.get("pricelevelid") == level and item.get("uomid") == line.get("uomid"):
                return round_half_away(pricing.amount(item, "amount"), precision), pricing.NO_ERROR
        return None, pricing.PRODUCT_NOT_IN_PRICE_LEVEL

    def new_order_number(self) -> str:
        row = next(iter(self.store.tables["organization"].rows.values()))
        current = int(str(row.get("currentordernumber", 1000)))
        length = int(str(row.get("uniquespecifierlength", 6)))
        tail = "".join(self._random.choices(string.ascii_uppercase + string.digits, k=length))
        self.store.replace("organization", str(row["organizationid"]), {**row, "currentordernumber": current + 1})
        return f"{row.get('orderprefix', 'ORD')}-{current:05}-{tail}"

    def check_price_level(self, level: Value, currency: Value) -> None:
        if not isinstance(level, Ref):
            return
        row = self.reader.target_row(level) or {}
        if row.get("transactioncurrencyid") not in (None, currency):
            raise CrmError(
                400, "0x80048cf6", "The currency of the record does not match the currency of the price list."
            )


class OrderRules:
    """`salesorder`."""

    def __init__(self, book: OrderBook) -> None:
        self.book = book
        self.table = book.schema.tables[ORDER]

    def create(self, row_id: str, row: Row, caller: Caller, with_parent: bool) -> None:
        organization = self.book.organization()
        state = SUBMITTED if organization.sop else ACTIVE
        statuses = self.table.columns["statuscode"]
        status = row.get("statuscode")
        if status is None:
            row["statuscode"] = default_status(statuses, state)
        elif statuses.states[int(str(status))] != state:
            raise mismatch(self.table, status, state, row_id)
        row["statecode"] = state
        self.book.check_price_level(row.get("pricelevelid"), row.get("transactioncurrencyid"))
        if row.get("ordernumber") is None:
            row["ordernumber"] = self.book.new_order_number()
        defaults: dict[str, Value] = {
            "ispricelocked": False,
            "willcall": False,
            "skippricecalculation": 0,
            "pricingerrorcode": pricing.NO_ERROR,
        }
        for column, value in defaults.items():
            if row.get(column) is None:
                row[column] = value

    def created(self, row_id: str, caller: Caller, with_parent: bool) -> None:
        organization = self.book.organization()
        if not (organization.sop and caller.integration):
            self.book.total(row_id, caller)

    def update(self, row_id: str, old: Row, changes: dict[str, Value], caller: Caller) -> None:
        check_order_update(old, changes, row_id)
        state = old.get("statecode", ACTIVE)
        assert isinstance(state, int)
        settle(self.table, changes, state, row_id)
        if "pricelevelid" in changes:
            self.book.check_price_level(changes["pricelevelid"], old.get("transactioncurrencyid"))

    def updated(self, row_id: str, old: Row, changes: dict[str, Value], caller: Caller) -> None:
        organization = self.book.organization()
        if not changes.keys() - STATE_COLUMNS - {"ownerid"}:
            return
        if organization.sop and (caller.integration or old.get("statecode") == SUBMITTED):
            return
        if "pricelevelid" in changes:
            self._reprice_lines(row_id, caller)
        self.book.total(row_id, caller)

    def _reprice_lines(self, row_id: str, caller: Caller) -> None:
        order = self.book.store.get(ORDER, row_id)
        if order is None or order.get("pricelevelid") is None:
            return
        line_table = self.book.schema.tables[LINE]
        for line in self.book.lines(row_id):
            amounts = self.book.price_line(line, order)
            if any(line.get(column) != value for column, value in amounts.items()):
                line_id = str(line[line_table.id_column])
                self.book.records.write(line_table, line_id, {**line, **amounts}, caller)

    def delete(self, row_id: str, old: Row, caller: Caller) -> None:
        return

    def deleted(self, row_id: str, old: Row, caller: Caller) -> None:
        return

    def recalculate(self, row_id: str, caller: Caller) -> None:
        """The RecalculatePrice action."""
        order = self.book.store.get(ORDER, row_id)
        if order is None:
            raise not_found(ORDER, row_id)
        if self.book.organization().sop and order.get("statecode") == SUBMITTED:
            return
        line_table = self.book.schema.tables[LINE]
        for line in self.book.lines(row_id):
            amounts = self.book.price_line(line, order)
            self.book.records.write(line_table, str(line[line_table.id_column]), {**line, **amounts}, caller)
        self.book.total(row_id, caller)


class LineRules:
    """`salesorderdetail`."""

    def __init__(self, book: OrderBook) -> None:
        self.book = book

    def _order(self, line: Row) -> tuple[str, Row]:
        ref = line.get("salesorderid")
        order = self.book.reader.target_row(ref)
        if not isinstance(ref, Ref) or order is None:
            raise CrmError(400, "0x80040203", "The parent order of the order product is missing ('salesorderid').")
        return ref.id, order

    def _open(self, order: Row) -> None:
        if order.get("statecode", ACTIVE) != ACTIVE:
            raise parent_read_only()

    def _priced(self, order: Row, caller: Caller) -> bool:
        organization = self.book.organization()
        return not (organization.sop and (caller.integration or order.get("statecode") == SUBMITTED))

    def create(self, row_id: str, row: Row, caller: Caller, with_parent: bool) -> None:
        _, order = self._order(row)
        if not with_parent:
            self._open(order)
        for column in ("isproductoverridden", "ispriceoverridden", "willcall"):
            if row.get(column) is None:
                row[column] = False
        for column, value in (
            ("producttypecode", 1),
            ("propertyconfigurationstatus", 2),
            ("skippricecalculation", 0),
            ("pricingerrorcode", pricing.NO_ERROR),
        ):
            if row.get(column) is None:
                row[column] = value
        row["transactioncurrencyid"] = order.get("transactioncurrencyid")
        self._check(row, row)
        self._name(row)
        if self._priced(order, caller):
            row.update(self.book.price_line(row, order))

    def created(self, row_id: str, caller: Caller, with_parent: bool) -> None:
        line = self.book.store.get(LINE, row_id)
        assert line is not None
        order_id, order = self._order(line)
        if not with_parent and self._priced(order, caller):
            self.book.total(order_id, caller)

    def update(self, row_id: str, old: Row, changes: dict[str, Value], caller: Caller) -> None:
        _, order = self._order(old)
        self._open(order)
        row = {**old, **changes}
        if changes.get("salesorderid", old["salesorderid"]) != old["salesorderid"]:
            _, order = self._order(row)
            self._open(order)
            changes["transactioncurrencyid"] = order.get("transactioncurrencyid")
        self._check(row, changes)
        if {"productid", "productdescription"} & changes.keys():
            self._name(row)
            changes["salesorderdetailname"] = row["salesorderdetailname"]
        if self._priced(order, caller):
            changes.update(self.book.price_line(row, order))

    def updated(self, row_id: str, old: Row, changes: dict[str, Value], caller: Caller) -> None:
        order_id, order = self._order({**old, **changes})
        if self._priced(order, caller):
            self.book.total(order_id, caller)
            old_id, _ = self._order(old)
            if old_id != order_id:
                self.book.total(old_id, caller)

    def delete(self, row_id: str, old: Row, caller: Caller) -> None:
        _, order = self._order(old)
        self._open(order)

    def deleted(self, row_id: str, old: Row, caller: Caller) -> None:
        order_id, _ = self._order(old)
        organization = self.book.organization()
        if not (organization.sop and caller.integration):
            self.book.total(order_id, caller)

    def _name(self, row: Row) -> None:
        product = self.book.reader.target_row(row.get("productid"))
        name = product.get("name") if product else row.get("productdescription")
        row["salesorderdetailname"] = str(name)[:100] if name is not None else None

    def _check(self, row: Row, changes: Row) -> None:
        """What a line must have and must not have."""
        product, unit = row.get("productid"), row.get("uomid")
        description = row.get("productdescription")
        if product is not None and description is not None:
            raise CrmError(
                400,
                "0x80043afb",
                "You cannot set both 'productid' and 'productdescription' for the same record.",
            )
        if unit is not None and description is not None:
            raise CrmError(
                400, "0x80043afa", "You cannot set both 'uomid' and 'productdescription' for the same record."
            )
        if row.get("isproductoverridden"):
            if product is not None:
                raise CrmError(400, "0x80040203", "A write-in line ('isproductoverridden') cannot have 'productid'.")
            if description is None:
                raise CrmError(400, "0x80043b11", "The product id is missing.")
        else:
            self._check_product(product, unit, "productid" in changes)
        if row.get("quantity") is None:
            raise CrmError(400, "0x80081012", "The Quantity is missing.")

    def _check_product(self, product: Value, unit: Value, changed: bool) -> None:
        if product is None:
            raise CrmError(400, "0x80043b11", "The product id is missing.")
        if unit is None:
            raise CrmError(400, "0x80043b0d", "The unit id is missing.")
        product_row = self.book.reader.target_row(product)
        unit_row = self.book.reader.target_row(unit)
        if product_row is None or unit_row is None:
            raise CrmError(400, "0x80043b24", "The product does not exist.")
        if changed and product_row.get("statecode", 0) != 0:
            raise CrmError(400, "0x8004f908", "You can only add Active products.")
        if product_row.get("defaultuomscheduleid") != unit_row.get("uomscheduleid"):
            raise CrmError(400, "0x80043b16", "The unit does not exist in the specified unit schedule.")


def install(records: Records, factory: Callable[[Records], OrderBook] = OrderBook) -> tuple[OrderBook, OrderRules]:
    """Give the two order tables their rules."""
    book = factory(records)
    orders = OrderRules(book)
    records.rules[ORDER] = orders
    records.rules[LINE] = LineRules(book)
    return book, orders
