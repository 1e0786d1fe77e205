"""Does CRM hold what is staged? Compared value by value, without the loader's own comparison.

The staged views are read with plain SQL; CRM's rows come out of the local CRM as they are stored. Business keys stand
for ids: an order's `customerid` is right when the account it points to has the staged account number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Protocol

Row = Mapping[str, Any]

KEYS = {
    "customerid": ("account", "accountnumber"),
    "pricelevelid": ("pricelevel", "name"),
    "productid": ("product", "productnumber"),
    "uomid": ("uom", "name"),
    "salesrepid": ("systemuser", "new_gpsalespersonid"),
}
"""Look-up column → CRM table and column of its business key (the mapping's DBLOOKUPs)."""

AMOUNTS_OF_SOP_MODE = {"totalamount", "totaltax", "totallineitemamount", "baseamount", "extendedamount"}
CREATE_ONLY = {"ordernumber", "isproductoverridden"}
DECIMALS = {"quantity": 5}
LENGTHS = {"line1": 250, "line2": 250, "line3": 250, "city": 80, "country": 80, "postalcode": 20, "name": 200}
OTHER_LENGTHS = {"name": 300, "ordernumber": 100, "description": 2000, "productdescription": 500}
UNMAPPED = {"paymenttermscode": "paymenttermscode__gp", "shippingmethodcode": "shippingmethodcode__gp"}


class Crm(Protocol):
    """The local CRM: rows as stored, look-ups as {"table", "id"}."""

    def rows(self, table: str) -> Sequence[Row]: ...


@dataclass
class Verification:
    """How many values were compared, and each that differs in words."""

    orders: int = 0
    lines: int = 0
    values: int = 0
    differences: list[str] = field(default_factory=list)


def verify(headers: Sequence[Row], lines: Sequence[Row], crm: Crm, expected: set[str], sop_mode: bool) -> Verification:
    """Compares the orders named in `expected` (those that were pushed or are unchanged)."""
    directory = _Directory(crm)
    result = Verification()
    orders = {str(row["name"]).casefold(): row for row in crm.rows("salesorder")}
    crm_lines: dict[str, list[Row]] = {}
    for row in crm.rows("salesorderdetail"):
        crm_lines.setdefault(row["salesorderid"]["id"], []).append(row)
    staged_lines: dict[str, list[Row]] = {}
    for line in lines:
        staged_lines.setdefault(line["salesorderid"], []).append(line)

    for header in headers:
        name = header["name"]
        if name not in expected:
            continue
        result.orders += 1
        order = orders.get(name.casefold())
        if order is None:
            result.differences.append(f"{name}: not in CRM")
            continue
        _compare(name, header, order, directory, sop_mode, result)
        _compare_lines(
            name, staged_lines.get(name, []), crm_lines.get(order["salesorderid"], []), directory, sop_mode, result
        )
    return result


def _compare_lines(
    name: str,
    staged: list[Row],
    held: list[Row],
    directory: _Directory,
    sop_mode: bool,
    result: Verification,
) -> None:
    wanted = sorted(line["lineitemnumber"] for line in staged)
    present = sorted(line.get("lineitemnumber") or -1 for line in held)
    if wanted != present:
        result.differences.append(f"{name}: lines are {present}, staged are {wanted}")
        return
    by_number = {line["lineitemnumber"]: line for line in held}
    for line in staged:
        result.lines += 1
        where = f"{name} line {line['lineitemnumber']}"
        _compare(where, line, by_number[line["lineitemnumber"]], directory, sop_mode, result)


def _compare(where: str, staged: Row, held: Row, directory: _Directory, sop_mode: bool, result: Verification) -> None:
    for column, value in staged.items():
        if "__" in column or column in ("salesorderid", "datedelivered", *(CREATE_ONLY - {"isproductoverridden"})):
            continue
        if column in AMOUNTS_OF_SOP_MODE and not sop_mode:
            continue
        if column in UNMAPPED and value is None and staged[UNMAPPED[column]] is not None:
            continue
        if column in KEYS:
            if value is None or directory.has(column, value):
                result.values += 1
                _differ(where, column, _folded(value), directory.key(held.get(column)), result)
            continue
        result.values += 1
        _differ(where, column, _as_stored(column, value, column in held), _plain(held.get(column)), result)


def _differ(where: str, column: str, wanted: object, present: object, result: Verification) -> None:
    if wanted != present:
        result.differences.append(f"{where} {column}: CRM has {present!r}, staged is {wanted!r}")


def _as_stored(column: str, value: Any, exists: bool) -> object:
    if isinstance(value, str):
        length = OTHER_LENGTHS.get(column) or LENGTHS.get(column.partition("_")[2], 50)
        return value.rstrip(" ")[:length].rstrip(" ") or None
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, Decimal):
        return value.quantize(Decimal(1).scaleb(-DECIMALS.get(column, 2)), ROUND_HALF_UP) + 0
    return value


def _plain(value: Any) -> object:
    if isinstance(value, bool):
        return int(value)
    return value or None if isinstance(value, str) else value


def _folded(value: object) -> str | None:
    return None if value is None else str(value).rstrip(" ").casefold()


class _Directory:
    """CRM's rows by id and by business key."""

    def __init__(self, crm: Crm) -> None:
        self._keys: dict[str, str | None] = {}
        self._known: dict[str, list[str | None]] = {}
        for column, (table, key) in KEYS.items():
            rows = crm.rows(table)
            self._known[column] = [_folded(row.get(key)) for row in rows]
            self._keys.update({row[f"{table}id"]: _folded(row.get(key)) for row in rows})

    def has(self, column: str, value: object) -> bool:
        """Exactly one row has this key; anything else leaves the column as it is in CRM."""
        return self._known[column].count(_folded(value)) == 1 or column == "uomid"

    def key(self, reference: Any) -> str | None:
        return self._keys.get(reference["id"]) if reference else None


def staged(query: Any, relation: str, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Rows of a staged view as plain dictionaries; `query` runs SQL and returns tuples."""
    names = ", ".join(f'"{name}"' for name in columns)
    for row in query(f"select {names} from {relation}"):
        yield dict(zip(columns, row, strict=True))
