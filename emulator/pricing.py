"""What CRM's own pricing computes on documents (orders, invoices) and their lines. Pure: amounts in, amounts out."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from .store import Row, Value
from .values import round_half_away

ZERO = Decimal(0)
PER_UNIT = 1  # organization.discountcalculationmethod
NO_ERROR, DETAIL_ERROR, MISSING_PRICE_LEVEL, MISSING_UNIT_PRICE = 0, 1, 2, 5
PRODUCT_NOT_IN_PRICE_LEVEL = 11


def amount(row: Row, column: str) -> Decimal:
    value = row.get(column)
    return value if isinstance(value, Decimal) else ZERO


def line_amounts(line: Row, unit_price: Decimal | None, scale: int, discount_method: int) -> dict[str, Value]:
    """Base amount: quantity × unit price. Extended amount: base amount − discount + tax."""
    quantity = amount(line, "quantity")
    base = round_half_away((unit_price or ZERO) * quantity, scale)
    discount = amount(line, "manualdiscountamount")
    if discount_method == PER_UNIT:
        discount = round_half_away(discount * quantity, scale)
    extended = base - amount(line, "volumediscountamount") - discount + amount(line, "tax")
    return {"baseamount": base, "extendedamount": extended}


def line_discount(line: Row, scale: int, discount_method: int) -> Decimal:
    discount = amount(line, "manualdiscountamount")
    if discount_method == PER_UNIT:
        discount = round_half_away(discount * amount(line, "quantity"), scale)
    return discount


def header_amounts(header: Row, lines: Iterable[Row], scale: int, discount_method: int) -> dict[str, Value]:
    """The totals of a header from its lines, discount, discount percentage and freight."""
    items = tax = discounts = round_half_away(ZERO, scale)
    failed = False
    for line in lines:
        line_tax = amount(line, "tax")
        items += amount(line, "extendedamount") - line_tax
        tax += line_tax
        discounts += line_discount(line, scale, discount_method)
        failed = failed or bool(line.get("pricingerrorcode"))
    percentage = amount(header, "discountpercentage")
    discount = amount(header, "discountamount") + round_half_away(items * percentage / 100, scale)
    less_freight = items - discount
    return {
        "totallineitemamount": items,
        "totaltax": tax,
        "totallineitemdiscountamount": discounts,
        "totaldiscountamount": discount,
        "totalamountlessfreight": less_freight,
        "totalamount": less_freight + amount(header, "freightamount") + tax,
        "pricingerrorcode": DETAIL_ERROR if failed else NO_ERROR,
    }
