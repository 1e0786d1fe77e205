"""Orders by the thousand, for measuring: the same rows for the same arguments, on every machine and warehouse.

Each value is a formula of the order's and the line's number. DuckDB works the formulas out in SQL, which is fast; for
SQL Server they are worked out here and sent. A test holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any

from sample import organisation
from sample.company import CENT, ORDER, Cells, Column, Value, Warehouse, create, insert, qualified, schema_of

ITEMS = 500
STEP = 16_384
FIRST_DAY = datetime(2027, 1, 4)
TERMS = ("Net 30", "2% 10/Net 30", "Net 45")
METHODS = ("UPS BLUE", "UPS GROUND", "MAIL", "FEDEX")
TERRITORIES = 6


@dataclass(frozen=True)
class Volume:
    """How much is generated, and from which seed."""

    orders: int
    lines: int = 5
    seed: int = 1

    def __post_init__(self) -> None:
        if self.orders < 1 or self.orders >= 10**8:
            raise ValueError(f"orders is {self.orders}; generate between 1 and 99,999,999")
        if self.lines < 0 or self.lines > 1_000:
            raise ValueError(f"lines is {self.lines}; generate between 0 and 1,000 an order")
        if self.seed < 0 or self.seed > 1_000_000:
            raise ValueError(f"seed is {self.seed}; use 0 to 1,000,000")

    @property
    def customers(self) -> int:
        return max(20, self.orders // 50)

    def mixed(self, order: int, line: int) -> int:
        """A number that looks arbitrary and is always the same."""
        return (order * 7_919 + line * 104_729 + self.seed * 15_485_863) % 1_000_003


@dataclass(frozen=True)
class Order:
    header: Cells
    lines: list[Cells]


def orders(n: int, lines: int = 5, seed: int = 1) -> Iterator[Order]:
    """`n` open orders of GP, one at a time: rows of SOP10100 and SOP10200."""
    volume = Volume(n, lines, seed)
    return (_order(volume, number) for number in range(1, n + 1))


def load(
    warehouse: Warehouse, n: int, lines: int = 5, seed: int = 1, database: str | None = None, schema: str = "gp"
) -> dict[str, int]:
    """Create GP's tables in `schema`, replacing what is there, with `n` generated orders."""
    volume = Volume(n, lines, seed)
    create(warehouse, database, schema)
    masters = {"RM00101": _customers(volume), "RM00102": _addresses(volume), "IV00101": _items()}
    with warehouse.transaction():
        for name, rows in masters.items():
            insert(warehouse, qualified(name, database, schema), schema_of()[name], rows)
    header_table, line_table = (qualified(t, database, schema) for t in ("SOP10100", "SOP10200"))
    if warehouse.dialect == "duckdb":
        with warehouse.transaction():
            warehouse.execute(_lines_in_sql(volume, line_table))
            warehouse.execute(_headers_in_sql(volume, header_table, line_table))
    else:
        for some in _batches(orders(n, lines, seed), 2_000):
            _send(warehouse, header_table, [order.header for order in some])
            _send(warehouse, line_table, [line for order in some for line in order.lines])
    counts = {name: len(rows) for name, rows in masters.items()}
    return {"SOP10100": n, "SOP10200": n * lines, **counts}


def edit(warehouse: Warehouse, every: int, database: str | None = None, schema: str = "gp") -> None:
    """Order one more of the first line of every `every`th order; 100 changes one order in a hundred."""
    header_table, line_table = (qualified(t, database, schema) for t in ("SOP10100", "SOP10200"))
    chosen = f"select SOPNUMBE from {header_table} where MSTRNUMB % {int(every)} = 0"
    price = f"coalesce((select UNITPRCE from {line_table} l where l.SOPTYPE = h.SOPTYPE and l.SOPNUMBE = h.SOPNUMBE"
    price += f" and l.LNITMSEQ = {STEP} and l.CMPNTSEQ = 0), 0)"
    quantities = ", ".join(f"{name} = {name} + 1" for name in ("QUANTITY", "QTYREMAI", "QTYTOINV"))
    extended = ", ".join(f"{name} = {name} + UNITPRCE" for name in ("XTNDPRCE", "OXTNDPRC", "REMPRICE", "OREPRICE"))
    amounts = ("SUBTOTAL", "ORSUBTOT", "REMSUBTO", "OREMSUBT", "DOCAMNT", "ORDOCAMT")
    alias = " from " + header_table + " h" if warehouse.dialect == "sqlserver" else ""
    target = "h" if warehouse.dialect == "sqlserver" else f"{header_table} h"
    with warehouse.transaction():
        warehouse.execute(
            f"update {line_table} set {quantities}, {extended}"
            f" where SOPTYPE = {ORDER} and LNITMSEQ = {STEP} and CMPNTSEQ = 0 and SOPNUMBE in ({chosen})"
        )
        warehouse.execute(
            f"update {target} set {', '.join(f'{name} = {name} + {price}' for name in amounts)}{alias}"
            f" where MSTRNUMB % {int(every)} = 0"
        )


def history(
    warehouse: Warehouse, documents: int, n: int, columns: Mapping[str, Sequence[str]], schema: str = "gp"
) -> None:
    """Put orders and invoices that are done, with a line each, in place of GP's history of sales, in DuckDB.

    `n` is the number of open orders, whose customers and items they have; `columns` are those that the tables get.
    A table that gets none is left as it is.
    """
    customers = Volume(n).customers
    known = {
        "SOPTYPE": f"{ORDER} + i % 2",
        "SOPNUMBE": "'HIST' || lpad(i::varchar, 8, '0')",
        "CUSTNMBR": f"'CUST' || lpad((i % {customers})::varchar, 6, '0')",
        "CUSTNAME": f"'Customer ' || i % {customers}",
        "PRBTADCD": "'PRIMARY'",
        "DOCDATE": "timestamp '2010-01-01' + to_days((i % 5000)::int)",
        "PYMTRMID": _chosen_in_sql("i", TERMS),
        "SHIPMTHD": _chosen_in_sql("i", METHODS),
        "LNITMSEQ": f"{STEP}",
        "ITEMNMBR": f"'ITEM-' || lpad((i % {ITEMS})::varchar, 4, '0')",
        "UOFM": "'Each'",
        "QUANTITY": "1 + i % 24",
        "QTYPRINV": "1 + i % 24",
        **dict.fromkeys(("UNITPRCE", "XTNDPRCE", "SUBTOTAL", "DOCAMNT"), "i % 90000 * 0.01"),
        "DEX_ROW_ID": "i",
    }
    for name in sorted({"SOP30200", "SOP30300"} & columns.keys()):
        table = schema_of()[name].by_name
        selected = [f"{_in_sql(table[each], known.get(each))} as {each}" for each in columns[name]]
        warehouse.execute(
            f"create or replace table {qualified(name, None, schema)} as"
            f" select {', '.join(selected)} from range(1, {documents + 1}) h(i)"
        )


def _in_sql(column: Column, expression: str | None) -> str:
    """A column's expression in its type, or what GP has there by default."""
    if column.is_text:
        size = column.size if column.base == "char" else 0
        return f"rpad({expression or chr(39) * 2}, {size}, ' ')"
    if column.base == "datetime":
        return expression or "timestamp '1900-01-01'"
    if column.base == "binary":
        return "''::blob"
    return f"({expression or 0})::{column.sql_type}"


def snapshot(n: int, lines: int = 5, seed: int = 1, sop_mode: bool = True) -> dict[str, Any]:
    """The CRM organisation that knows every customer, item, unit, price level and territory of the orders."""
    volume = Volume(n, lines, seed)
    base = organisation.snapshot(sop_mode)
    tables = base["tables"]
    dollar = organisation.reference("transactioncurrency", "USD")
    owners = [{"table": "systemuser", "id": user["systemuserid"]} for user in tables["systemuser"]]
    owners += [{"table": "team", "id": team["teamid"]} for team in tables["team"]]
    tables["salesorder"], tables["salesorderdetail"] = [], []
    tables["account"] = [
        {
            "accountid": organisation.record_id("account", _customer(c)),
            "accountnumber": _customer(c),
            "name": f"Customer {c}",
            "ownerid": owners[c % len(owners)],
            "transactioncurrencyid": dollar,
        }
        for c in range(volume.customers)
    ]
    tables["product"] = [
        {
            "productid": organisation.record_id("product", _item(k)),
            "productnumber": _item(k),
            "name": f"Item {k}",
            "productstructure": 1,
            "quantitydecimal": 5,
            "defaultuomscheduleid": organisation.reference("uomschedule", "EACH"),
            "defaultuomid": organisation.reference("uom", "EACH Each"),
            "statecode": 0,
            "statuscode": 1,
            "transactioncurrencyid": dollar,
        }
        for k in range(ITEMS)
    ]
    return base


def _number(order: int) -> str:
    return f"ORD{order:08d}"


def _customer(customer: int) -> str:
    return f"CUST{customer:06d}"


def _item(item: int) -> str:
    return f"ITEM-{item:04d}"


def _address(customer: int) -> dict[str, str]:
    return {
        "ADDRESS1": f"{customer} Main Street",
        "CITY": f"City {customer % 50}",
        "STATE": "IL",
        "COUNTRY": "USA",
    }


def _zip(customer: int) -> str:
    return f"{60_000 + customer % 9_999}"


def _phone(customer: int) -> str:
    return f"312555{customer % 10_000:04d}0000"


def _cents(cents: int) -> Decimal:
    return Decimal(cents) * CENT


def _order(volume: Volume, number: int) -> Order:
    customer = volume.mixed(number, 0) % volume.customers
    day = FIRST_DAY + timedelta(days=number % 250)
    shared: Cells = {
        "SOPTYPE": ORDER,
        "SOPNUMBE": _number(number),
        "LOCNCODE": "WAREHOUSE",
        "PRCLEVEL": "EXTPRCLVL",
        "PRSTADCD": "PRIMARY",
        "ShipToName": f"Customer {customer}",
        **_address(customer),
        "ZIPCODE": _zip(customer),
        "SHIPMTHD": METHODS[number % len(METHODS)],
        "SALSTERR": f"TERRITORY {customer % TERRITORIES + 1}",
        "ReqShipDate": day + timedelta(days=7),
    }
    lines = [_line(volume, number, line, {**shared, "PHONE1": _phone(customer)})
             for line in range(1, volume.lines + 1)]  # fmt: skip
    subtotal = sum((_decimal(line["XTNDPRCE"]) for line in lines), Decimal("0.00"))
    tax = sum((_decimal(line["TAXAMNT"]) for line in lines), Decimal("0.00"))
    freight = _cents(number % 40 * 25)
    header: Cells = {
        **shared,
        "DOCID": "STDORD",
        "DOCDATE": day,
        "ORDRDATE": day,
        "BACHNUMB": "B1",
        "BCHSOURC": "Sales Entry",
        "CURNCYID": "Z-US$",
        "MSTRNUMB": number,
        "CUSTNMBR": _customer(customer),
        "CUSTNAME": f"Customer {customer}",
        "PRBTADCD": "PRIMARY",
        "PHNUMBR1": _phone(customer),
        "PYMTRMID": TERMS[number % len(TERMS)],
        "SOPSTATUS": number % 9,
    }
    for name, amount in (
        *(("SUBTOTAL", subtotal), ("ORSUBTOT", subtotal), ("REMSUBTO", subtotal), ("OREMSUBT", subtotal)),
        *(("TAXAMNT", tax), ("ORTAXAMT", tax), ("FRTAMNT", freight), ("ORFRTAMT", freight)),
        *(("DOCAMNT", subtotal + freight + tax), ("ORDOCAMT", subtotal + freight + tax)),
    ):
        header[name] = amount
    return Order(header, lines)


def _line(volume: Volume, number: int, line: int, shared: Cells) -> Cells:
    mixed = volume.mixed(number, line)
    item = mixed % ITEMS
    quantity = 1 + mixed // 7 % 24
    cents = 95 + item * 37 % 20_000
    tax = (cents * quantity * 7 + 50) // 100  # 7 %, half a cent up
    written_in = line == volume.lines and number % 4 == 0
    cells: Cells = {
        **shared,
        "LNITMSEQ": line * STEP,
        "ITEMNMBR": "LABOR" if written_in else _item(item),
        "ITEMDESC": f"Labor, job {number}" if written_in else f"Item {item}",
        "NONINVEN": int(written_in),
        "UOFM": "" if written_in else "Each",
        "QTYBSUOM": Decimal(1),
    }
    for name in ("QUANTITY", "QTYREMAI", "QTYTOINV"):
        cells[name] = Decimal(quantity)
    for name in ("UNITPRCE", "ORUNTPRC"):
        cells[name] = _cents(cents)
    for name in ("XTNDPRCE", "OXTNDPRC", "REMPRICE", "OREPRICE"):
        cells[name] = _cents(cents * quantity)
    for name in ("TAXAMNT", "ORTAXAMT"):
        cells[name] = _cents(tax)
    return cells


def _decimal(value: Value) -> Decimal:
    assert isinstance(value, Decimal)
    return value


def _customers(volume: Volume) -> list[Cells]:
    return [
        {
            "CUSTNMBR": _customer(c),
            "CUSTNAME": f"Customer {c}",
            "ADRSCODE": "PRIMARY",
            **_address(c),
            "ZIP": _zip(c),
            "PHONE1": _phone(c),
            "PRBTADCD": "PRIMARY",
            "PRSTADCD": "PRIMARY",
            "CURNCYID": "Z-US$",
        }
        for c in range(volume.customers)
    ]


def _addresses(volume: Volume) -> list[Cells]:
    return [
        {
            "CUSTNMBR": _customer(c),
            "ADRSCODE": "PRIMARY",
            **_address(c),
            "ZIP": _zip(c),
            "PHONE1": _phone(c),
        }
        for c in range(volume.customers)
    ]


def _items() -> list[Cells]:
    return [
        {"ITEMNMBR": _item(k), "ITEMDESC": f"Item {k}", "ITEMTYPE": 1, "UOMSCHDL": "EACH", "SELNGUOM": "Each"}
        for k in range(ITEMS)
    ]


def _batches(them: Iterator[Order], size: int) -> Iterator[list[Order]]:
    while some := list(islice(them, size)):
        yield some


def _send(warehouse: Warehouse, name: str, rows: list[Cells]) -> None:
    if rows:
        columns = list(rows[0])
        marks = ", ".join("?" * len(columns))
        sql = f"insert into {name} ({', '.join(columns)}) values ({marks})"
        values: Iterable[list[Value]] = ([row[column] for column in columns] for row in rows)
        warehouse.executemany(sql, values)


def _mixed_in_sql(volume: Volume, line: str) -> str:
    return f"((i * 7919 + {line} * 104729 + {volume.seed * 15_485_863}) % 1000003)"


def _chosen_in_sql(number: str, texts: tuple[str, ...]) -> str:
    whens = " ".join(f"when {n} then '{text}'" for n, text in enumerate(texts))
    return f"case {number} % {len(texts)} {whens} end"


SHARED_IN_SQL = {
    "SOPTYPE": f"{ORDER}",
    "SOPNUMBE": "'ORD' || lpad(i::varchar, 8, '0')",
    "LOCNCODE": "'WAREHOUSE'",
    "PRCLEVEL": "'EXTPRCLVL'",
    "PRSTADCD": "'PRIMARY'",
    "ShipToName": "'Customer ' || c",
    "ADDRESS1": "c || ' Main Street'",
    "CITY": "'City ' || c % 50",
    "STATE": "'IL'",
    "COUNTRY": "'USA'",
    "ZIPCODE": "(60000 + c % 9999)::varchar",
    "SHIPMTHD": _chosen_in_sql("i", METHODS),
    "SALSTERR": f"'TERRITORY ' || (c % {TERRITORIES} + 1)",
    "ReqShipDate": f"timestamp '{FIRST_DAY}' + to_days((i % 250 + 7)::int)",
}
PHONE_IN_SQL = "'312555' || lpad((c % 10000)::varchar, 4, '0') || '0000'"


def _insert_in_sql(name: str, table: str, expressions: dict[str, str], source: str) -> str:
    """INSERT … SELECT that pads GP's char columns."""
    columns = schema_of()[table].by_name
    selected = [
        f"rpad({expression}, {columns[column].size}, ' ')" if columns[column].base == "char" else expression
        for column, expression in expressions.items()
    ]
    return f"insert into {name} ({', '.join(expressions)})\nselect {', '.join(selected)}\nfrom {source}"


def _lines_in_sql(volume: Volume, line_table: str) -> str:
    expressions = {
        **SHARED_IN_SQL,
        "PHONE1": PHONE_IN_SQL,
        "LNITMSEQ": f"j * {STEP}",
        "ITEMNMBR": "case when w then 'LABOR' else 'ITEM-' || lpad(k::varchar, 4, '0') end",
        "ITEMDESC": "case when w then 'Labor, job ' || i else 'Item ' || k end",
        "NONINVEN": "w::int",
        "UOFM": "case when w then '' else 'Each' end",
        "QTYBSUOM": "1",
        **dict.fromkeys(("QUANTITY", "QTYREMAI", "QTYTOINV"), "q"),
        **dict.fromkeys(("UNITPRCE", "ORUNTPRC"), "p * 0.01"),
        **dict.fromkeys(("XTNDPRCE", "OXTNDPRC", "REMPRICE", "OREPRICE"), "p * q * 0.01"),
        **dict.fromkeys(("TAXAMNT", "ORTAXAMT"), "((p * q * 7 + 50) // 100) * 0.01"),
        "DEX_ROW_ID": f"(i - 1) * {volume.lines} + j",
    }
    source = f"""(
    select i, j, k, c, 1 + m // 7 % 24 as q, 95 + k * 37 % 20000 as p, j = {volume.lines} and i % 4 = 0 as w
    from (
        select i, j, m, m % {ITEMS} as k, {_mixed_in_sql(volume, "0")} % {volume.customers} as c
        from (
            select i, j, {_mixed_in_sql(volume, "j")} as m
            from range(1, {volume.orders + 1}) o(i), range(1, {volume.lines + 1}) l(j)
        )
    )
)"""
    return _insert_in_sql(line_table, "SOP10200", expressions, source)


def _headers_in_sql(volume: Volume, header_table: str, line_table: str) -> str:
    day = f"timestamp '{FIRST_DAY}' + to_days((i % 250)::int)"
    expressions = {
        **SHARED_IN_SQL,
        "DOCID": "'STDORD'",
        "DOCDATE": day,
        "ORDRDATE": day,
        "BACHNUMB": "'B1'",
        "BCHSOURC": "'Sales Entry'",
        "CURNCYID": "'Z-US$'",
        "MSTRNUMB": "i",
        "CUSTNMBR": "'CUST' || lpad(c::varchar, 6, '0')",
        "CUSTNAME": "'Customer ' || c",
        "PRBTADCD": "'PRIMARY'",
        "PHNUMBR1": PHONE_IN_SQL,
        "PYMTRMID": _chosen_in_sql("i", TERMS),
        "SOPSTATUS": "i % 9",
        **dict.fromkeys(("SUBTOTAL", "ORSUBTOT", "REMSUBTO", "OREMSUBT"), "s"),
        **dict.fromkeys(("TAXAMNT", "ORTAXAMT"), "t"),
        **dict.fromkeys(("FRTAMNT", "ORFRTAMT"), "f"),
        **dict.fromkeys(("DOCAMNT", "ORDOCAMT"), "s + f + t"),
        "DEX_ROW_ID": "i",
    }
    source = f"""(
    select
        i, {_mixed_in_sql(volume, "0")} % {volume.customers} as c, i % 40 * 25 * 0.01 as f,
        coalesce(s, 0) as s, coalesce(t, 0) as t
    from range(1, {volume.orders + 1}) o(i)
    left join (
        select SOPNUMBE as number, sum(XTNDPRCE) as s, sum(TAXAMNT) as t from {line_table} group by SOPNUMBE
    ) on number = rpad('ORD' || lpad(i::varchar, 8, '0'), 21, ' ')
)"""
    return _insert_in_sql(header_table, "SOP10100", expressions, source)
