"""What orders and invoices have in common: numbers, lines, products on lines, totals, SOP mode and pricing.

A document is a header with its lines. What is particular to orders or to invoices (their states, when they may be
changed) is in a module of its own.
"""

from __future__ import annotations

import random
import string
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, NamedTuple

from . import pricing
from .callers import Caller, allow
from .errors import CrmError, not_found, parent_read_only
from .records import Records
from .rules import Rules
from .states import ACTIVE, STATE_COLUMNS
from .store import Ref, Row, Value
from .values import round_half_away


@dataclass(frozen=True)
class Kind:
    """The names of one kind of document."""

    header: str
    line: str
    parent: str
    """The look-up by which a line points to its header."""
    line_name: str
    number: str
    prefix: str
    """The organization's column with the first part of the numbers that CRM assigns, and its default."""
    default_prefix: str
    next_number: str
    noun: str


class Organization(NamedTuple):
    """The organisation's settings that affect documents."""

    sop: bool
    built_in_pricing: bool
    discount_method: int
    pricing_precision: int


class Documents:
    """What the rules of headers and of lines share: the organisation, the lines of a document, totals."""

    kind: Kind

    def __init__(self, records: Records) -> None:
        self.records = records
        self.reader = records.reader
        self.store = records.store
        self.headers = records.schema.tables[self.kind.header]
        self.details = records.schema.tables[self.kind.line]
        self._random = random.Random(1)
        self._known: tuple[Row, Organization] = ({}, self._read({}))

    # ------------------------------------------------ the organisation

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

    def left_to_the_caller(self, caller: Caller) -> bool:
        """Whether SOP mode leaves the prices and totals that this caller sends as they are."""
        return self.organization().sop and caller.integration

    def priced(self, header: Row, caller: Caller) -> bool:
        """Whether CRM computes the prices of this document when this caller changes it."""
        return not self.left_to_the_caller(caller)

    def new_number(self) -> str:
        kind = self.kind
        row = next(iter(self.store.tables["organization"].rows.values()))
        current = int(str(row.get(kind.next_number, 1000)))
        length = int(str(row.get("uniquespecifierlength", 6)))
        tail = "".join(self._random.choices(string.ascii_uppercase + string.digits, k=length))
        self.store.replace("organization", str(row["organizationid"]), {**row, kind.next_number: current + 1})
        return f"{row.get(kind.prefix, kind.default_prefix)}-{current:05}-{tail}"

    # ------------------------------------------------ lines

    def lines(self, header_id: str) -> list[Row]:
        data = self.store.tables[self.kind.line]
        return [data.rows[line_id] for line_id in data.find(self.kind.parent, header_id)]

    def header_of(self, line: Row) -> tuple[str, Row]:
        ref = line.get(self.kind.parent)
        header = self.reader.target_row(ref)
        if not isinstance(ref, Ref) or header is None:
            noun, parent = self.kind.noun, self.kind.parent
            raise CrmError(400, "0x80040203", f"The parent {noun} of the {noun} product is missing ('{parent}').")
        return ref.id, header

    # ------------------------------------------------ pricing

    def scale(self, header: Row) -> int:
        return int(str(self.reader.currency(header).get("currencyprecision", 2)))

    def total(self, header_id: str, caller: Caller) -> None:
        """Compute a document's totals. If a total changes, so does the document's version."""
        header = self.store.get(self.kind.header, header_id)
        organization = self.organization()
        if header is None or not organization.built_in_pricing:
            return
        amounts = pricing.header_amounts(
            header, self.lines(header_id), self.scale(header), organization.discount_method
        )
        if any(header.get(column) != value for column, value in amounts.items()):
            self.records.write(self.headers, header_id, {**header, **amounts}, caller)

    def price_line(self, line: Row, header: Row) -> dict[str, Value]:
        """Unit price (given or from the price list) and amounts of one line."""
        organization = self.organization()
        if not organization.built_in_pricing:
            return {}
        error = pricing.NO_ERROR
        unit_price = line.get("priceperunit")
        locked = bool(header.get("ispricelocked"))
        if not line.get("isproductoverridden") and not line.get("ispriceoverridden") and not locked:
            unit_price, error = self._list_price(line, header, organization.pricing_precision)
        elif unit_price is None:
            error = pricing.MISSING_UNIT_PRICE
        price = unit_price if isinstance(unit_price, Decimal) else None
        return {
            "priceperunit": price,
            "pricingerrorcode": error,
            **pricing.line_amounts(line, price, self.scale(header), organization.discount_method),
        }

    def _list_price(self, line: Row, header: Row, precision: int) -> tuple[Decimal | None, int]:
        level = header.get("pricelevelid")
        if not isinstance(level, Ref):
            raise CrmError(400, "0x80043b12", "The price level id is missing.")
        items = self.store.tables["productpricelevel"]
        product = line["productid"]
        for item_id in items.find("productid", product):
            item = items.rows[item_id]
            if item.get("pricelevelid") == level and item.get("uomid") == line.get("uomid"):
                return round_half_away(pricing.amount(item, "amount"), precision), pricing.NO_ERROR
        return None, pricing.PRODUCT_NOT_IN_PRICE_LEVEL

    def reprice_lines(self, header_id: str, header: Row, caller: Caller) -> None:
        for line in self.lines(header_id):
            amounts = self.price_line(line, header)
            if any(line.get(column) != value for column, value in amounts.items()):
                line_id = str(line[self.details.id_column])
                self.records.write(self.details, line_id, {**line, **amounts}, caller)

    def check_price_level(self, level: Value, currency: Value) -> None:
        if not isinstance(level, Ref):
            return
        row = self.reader.target_row(level) or {}
        if row.get("transactioncurrencyid") not in (None, currency):
            raise CrmError(
                400, "0x80048cf6", "The currency of the record does not match the currency of the price list."
            )

    # ------------------------------------------------ actions

    def _existing(self, header_id: str) -> Row:
        header = self.store.get(self.kind.header, header_id)
        if header is None:
            raise not_found(self.kind.header, header_id)
        return header

    def recalculate(self, header_id: str, caller: Caller) -> None:
        """The RecalculatePrice action."""
        header = self._existing(header_id)
        self.reprice_lines(header_id, header, caller)
        self.total(header_id, caller)

    def lock_prices(self, header_id: str, locked: bool, caller: Caller) -> None:
        """The actions Lock…Pricing and Unlock…Pricing."""
        header = self._existing(header_id)
        allow(caller, "Write", self.headers)
        if header.get("statecode", ACTIVE) != ACTIVE:
            raise CrmError(400, "0x80040233", "The object is not in a valid state to perform this operation.")
        if bool(header.get("ispricelocked")) == locked:
            code, word = ("0x80043b1d", "locked") if locked else ("0x80043b1e", "unlocked")
            raise CrmError(400, code, f"This entity is already {word}.")
        self.records.write(self.headers, header_id, {**header, "ispricelocked": locked}, caller)


class HeaderRules(Rules):
    """Orders or invoices. A subclass says which state a new one has and what a state forbids."""

    defaults: ClassVar[dict[str, Value]]

    def __init__(self, documents: Documents) -> None:
        super().__init__(documents.headers)
        self.documents = documents

    def check_update(self, row_id: str, old: Row, changes: dict[str, Value]) -> None:
        """Refuse what the state of a document forbids."""
        raise NotImplementedError

    def create(self, row_id: str, row: Row, caller: Caller, with_parent: bool) -> None:
        super().create(row_id, row, caller, with_parent)
        self.documents.check_price_level(row.get("pricelevelid"), row.get("transactioncurrencyid"))
        if row.get(self.documents.kind.number) is None:
            row[self.documents.kind.number] = self.documents.new_number()
        for column, value in self.defaults.items():
            if row.get(column) is None:
                row[column] = value

    def created(self, row_id: str, caller: Caller, with_parent: bool) -> None:
        if not self.documents.left_to_the_caller(caller):
            self.documents.total(row_id, caller)

    def update(self, row_id: str, old: Row, changes: dict[str, Value], caller: Caller) -> None:
        self.check_update(row_id, old, changes)
        super().update(row_id, old, changes, caller)
        if "pricelevelid" in changes:
            self.documents.check_price_level(changes["pricelevelid"], old.get("transactioncurrencyid"))

    def updated(self, row_id: str, old: Row, changes: dict[str, Value], caller: Caller) -> None:
        if not changes.keys() - STATE_COLUMNS - {"ownerid"} or not self.documents.priced(old, caller):
            return
        if "pricelevelid" in changes:
            header = self.documents.store.get(self.table.name, row_id)
            if header is not None and header.get("pricelevelid") is not None:
                self.documents.reprice_lines(row_id, header, caller)
        self.documents.total(row_id, caller)


class LineRules(Rules):
    """The lines of orders or invoices."""

    def __init__(self, documents: Documents) -> None:
        super().__init__(documents.details)
        self.documents = documents

    def _open(self, header: Row) -> None:
        if header.get("statecode", ACTIVE) != ACTIVE:
            raise parent_read_only()

    def create(self, row_id: str, row: Row, caller: Caller, with_parent: bool) -> None:
        _, header = self.documents.header_of(row)
        if not with_parent:
            self._open(header)
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
        row["transactioncurrencyid"] = header.get("transactioncurrencyid")
        self._check(row, row)
        self._name(row)
        if self.documents.priced(header, caller):
            row.update(self.documents.price_line(row, header))

    def created(self, row_id: str, caller: Caller, with_parent: bool) -> None:
        line = self.documents.store.get(self.documents.kind.line, row_id)
        assert line is not None
        header_id, header = self.documents.header_of(line)
        if not with_parent and self.documents.priced(header, caller):
            self.documents.total(header_id, caller)

    def update(self, row_id: str, old: Row, changes: dict[str, Value], caller: Caller) -> None:
        parent, name = self.documents.kind.parent, self.documents.kind.line_name
        _, header = self.documents.header_of(old)
        self._open(header)
        row = {**old, **changes}
        if changes.get(parent, old[parent]) != old[parent]:
            _, header = self.documents.header_of(row)
            self._open(header)
            changes["transactioncurrencyid"] = header.get("transactioncurrencyid")
        self._check(row, changes)
        if {"productid", "productdescription"} & changes.keys():
            self._name(row)
            changes[name] = row[name]
        if self.documents.priced(header, caller):
            changes.update(self.documents.price_line(row, header))

    def updated(self, row_id: str, old: Row, changes: dict[str, Value], caller: Caller) -> None:
        header_id, header = self.documents.header_of({**old, **changes})
        if self.documents.priced(header, caller):
            self.documents.total(header_id, caller)
            old_id, _ = self.documents.header_of(old)
            if old_id != header_id:
                self.documents.total(old_id, caller)

    def delete(self, row_id: str, old: Row, caller: Caller) -> None:
        _, header = self.documents.header_of(old)
        self._open(header)

    def deleted(self, row_id: str, old: Row, caller: Caller) -> None:
        header_id, _ = self.documents.header_of(old)
        if not self.documents.left_to_the_caller(caller):
            self.documents.total(header_id, caller)

    def _name(self, row: Row) -> None:
        product = self.documents.reader.target_row(row.get("productid"))
        name = product.get("name") if product else row.get("productdescription")
        row[self.documents.kind.line_name] = str(name)[:100] if name is not None else None

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
        product_row = self.documents.reader.target_row(product)
        unit_row = self.documents.reader.target_row(unit)
        if product_row is None or unit_row is None:
            raise CrmError(400, "0x80043b24", "The product does not exist.")
        if changed and product_row.get("statecode", 0) != 0:
            raise CrmError(400, "0x8004f908", "You can only add Active products.")
        if product_row.get("defaultuomscheduleid") != unit_row.get("uomscheduleid"):
            raise CrmError(400, "0x80043b16", "The unit does not exist in the specified unit schedule.")
