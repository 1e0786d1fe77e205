"""The sample CRM organisation, as a snapshot for the emulator.

`crm/<table>.csv` holds the rows. Column names are CRM's logical names; `key` names a row for the look-ups of the
others and for its id, which is therefore the same on every machine.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from sample.reading import FOLDER, Row, rows

CALLER = "integration"
"""Key of the user that the loader signs in as."""
EASTERN = 35
"""CRM's code of the time zone of the sample company."""

LOOKUPS: dict[str, dict[str, str]] = {
    # column → table of the look-up; "" where the cell names it, as in `team:Field Sales`
    "account": {"ownerid": "", "transactioncurrencyid": "transactioncurrency"},
    "uom": {"uomscheduleid": "uomschedule", "baseuom": "uom"},
    "product": {
        "defaultuomscheduleid": "uomschedule",
        "defaultuomid": "uom",
        "transactioncurrencyid": "transactioncurrency",
    },
    "pricelevel": {"transactioncurrencyid": "transactioncurrency"},
    "salesorder": {
        "customerid": "account",
        "ownerid": "",
        "pricelevelid": "pricelevel",
        "transactioncurrencyid": "transactioncurrency",
    },
    "salesorderdetail": {
        "salesorderid": "salesorder",
        "productid": "product",
        "uomid": "uom",
        "salesrepid": "systemuser",
    },
}
TABLES = (
    "transactioncurrency",
    "systemuser",
    "team",
    "account",
    "uomschedule",
    "uom",
    "pricelevel",
    "product",
    "salesorder",
    "salesorderdetail",
)
OPTIONS = {"statecode", "statuscode", "paymenttermscode", "shippingmethodcode", "teamtype", "accessmode"}
WHOLE = OPTIONS | {"lineitemnumber", "currencyprecision", "quantitydecimal", "productstructure"}
BOOLEAN = {"isproductoverridden", "ispriceoverridden", "isintegrationuser", "isdefault", "isschedulebaseuom"}
DECIMAL = {
    *("quantity", "priceperunit", "baseamount", "extendedamount", "manualdiscountamount", "tax"),
    *("discountamount", "freightamount", "totalamount", "totaltax", "totallineitemamount"),
    *("price", "exchangerate"),
}


def record_id(table: str, key: str) -> str:
    """The id of the row that the CSV files call `key`."""
    return str(uuid5(NAMESPACE_URL, f"gp_to_crm/{table}/{key}"))


def snapshot(sop_mode: bool = True, *, products_are_born_active: bool = False, folder: Path = FOLDER) -> dict[str, Any]:
    """The organisation for `Emulator(snapshot=…)`.

    With `sop_mode`, the organisation has sales order processing integration on and keeps the totals that the
    integration user sends; without, it computes them from the lines. Products are born as drafts unless the
    organisation says otherwise.
    """
    keys = {table: _keys(table, folder) for table in TABLES}
    tables: dict[str, list[dict[str, Any]]] = {table: _records(table, keys, folder) for table in TABLES}
    return _organisation(tables, sop_mode, products_are_born_active)


def empty(sop_mode: bool = True, *, products_are_born_active: bool = False) -> dict[str, Any]:
    """The organisation before the first push: users, teams, currency, price lists, and accounts typed in by hand."""
    keys = {table: _keys(table) for table in TABLES}
    tables = {table: _records(table, keys) for table in ("transactioncurrency", "systemuser", "team", "pricelevel")}
    tables["account"] = list(_records_of("account", rows(FOLDER / "crm" / "typed" / "account.csv", ("key",)), keys))
    return _organisation(tables, sop_mode, products_are_born_active)


def foundation(currency: str) -> dict[str, list[dict[str, Any]]]:
    """The rows without which nobody can work: a currency, and the user that the loader signs in as."""
    keys = {table: _keys(table) for table in TABLES}
    users = [row for row in _records("systemuser", keys) if row["systemuserid"] == record_id("systemuser", CALLER)]
    money = _records("transactioncurrency", keys)[0]
    its = {"transactioncurrencyid": record_id("transactioncurrency", currency), "isocurrencycode": currency}
    symbol = {} if currency == money["isocurrencycode"] else {"currencyname": currency, "currencysymbol": currency}
    return {"transactioncurrency": [{**money, **its, **symbol}], "systemuser": users}


def with_organization(tables: dict[str, list[dict[str, Any]]], currency: str) -> dict[str, Any]:
    """A snapshot of these rows, in an organisation of that base currency that keeps GP's amounts."""
    return _organisation(tables, sop_mode=True, products_are_born_active=False, currency=currency)


def _organisation(
    tables: dict[str, list[dict[str, Any]]], sop_mode: bool, products_are_born_active: bool, currency: str = "USD"
) -> dict[str, Any]:
    tables["organization"] = [
        {
            "organizationid": record_id("organization", "Fabrikam"),
            "name": "Fabrikam",
            "issopintegrationenabled": sop_mode,
            "oobpricecalculationenabled": True,
            "discountcalculationmethod": 0,
            "createproductswithoutparentinactivestate": products_are_born_active,
            "pricingdecimalprecision": 2,
            "basecurrencyid": reference("transactioncurrency", currency),
        }
    ]
    return {
        "tables": tables,
        "custom_columns": [{"table": "systemuser", "name": "new_gpsalespersonid", "type": "String", "max_length": 100}],
        "caller": record_id("systemuser", CALLER),
        "time_zone": EASTERN,
    }


def reference(table: str, key: str) -> dict[str, str]:
    """A look-up's value in a snapshot."""
    return {"table": table, "id": record_id(table, key)}


def _keys(table: str, folder: Path = FOLDER) -> set[str]:
    """The rows that a look-up may name. Raises SampleError where two have one key."""
    seen: dict[str, int] = {}
    for row in _rows(table, folder):
        key = row.cells["key"]
        if key in seen:
            raise row.error("key", f"{key!r} is also on line {seen[key]}", "Give every row a key of its own.")
        seen[key] = row.line
    return set(seen)


def _rows(table: str, folder: Path) -> Iterator[Row]:
    return rows(folder / "crm" / f"{table}.csv", ("key",))


def _records(table: str, keys: Mapping[str, set[str]], folder: Path = FOLDER) -> list[dict[str, Any]]:
    return list(_records_of(table, _rows(table, folder), keys))


def _records_of(table: str, its_rows: Iterable[Row], keys: Mapping[str, set[str]]) -> Iterator[dict[str, Any]]:
    lookups = LOOKUPS.get(table, {})
    for row in its_rows:
        record: dict[str, Any] = {f"{table}id": record_id(table, row.cells["key"])}
        for column in row.cells:
            if column in lookups:
                record[column] = _lookup(row, column, lookups[column], keys)
            elif column != "key":
                record[column] = _value(row, column)
        yield record


def _lookup(row: Row, column: str, table: str, keys: Mapping[str, set[str]]) -> dict[str, str]:
    key = row.cells[column]
    if not table:
        table, colon, key = key.partition(":")
        if not colon or table not in ("systemuser", "team"):
            problem = f"{row.cells[column]!r} does not name an owner"
            raise row.error(column, problem, "Write systemuser:<key> or team:<key>.")
    if key not in keys[table]:
        raise row.error(column, f"{table}.csv has no row {key!r}", f"Add it to {table}.csv, or correct the key.")
    return reference(table, key)


def _value(row: Row, column: str) -> str | int | bool | Decimal:
    text = row.cells[column]
    parse: Callable[[str], str | int | bool | Decimal] = str
    expected = "text"
    if column in WHOLE:
        parse, expected = int, "a whole number"
    elif column in DECIMAL:
        parse, expected = Decimal, "a number such as 1234.50"
    elif column in BOOLEAN:
        parse, expected = {"true": True, "false": False}.__getitem__, "true or false"
    elif column in ("datefulfilled", "requestdeliveryby"):
        parse, expected = _instant, "an instant such as 2027-04-12T04:00:00Z"
    try:
        return parse(text)
    except (ValueError, KeyError, InvalidOperation):
        raise row.error(column, f"{text!r} is not {expected}", f"Write {expected}.") from None


def _instant(text: str) -> str:
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text):
        raise ValueError(text)
    return text
