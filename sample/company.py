"""The sample company: Dynamics GP's sales tables, with GP's types and keys, in DuckDB or SQL Server.

`gp_schema.csv` is the structure; `gp/<TABLE>.csv` holds the rows, and of them only what differs from GP's
defaults and what GP does not work out itself (originating twins, remaining quantities).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import cache, cached_property
from itertools import islice
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from sample.reading import FOLDER, Row, SampleError, rows

Value: TypeAlias = str | int | Decimal | datetime | bytes
Cells: TypeAlias = dict[str, Value]

CENT = Decimal("0.01")
GP_COLLATION = "SQL_Latin1_General_CP1_CI_AS"
"""GP's usual one, whatever the server's: code page 1252, no regard to case."""
GP_TYPE = re.compile(r"(smallint|tinyint|int|datetime|text|char\(\d+\)|binary\(\d+\)|numeric\(\d+,\d+\))")
NO_DATE = datetime(1900, 1, 1)
ORDER = 2
"""SOPTYPE of an order."""
INVOICE = 3
"""SOPTYPE of an invoice."""
RECEIVABLE = 1
"""RMDTYPAL of a sales invoice."""


class Warehouse(Protocol):
    """What a connection of `loader.warehouse` offers and the sample uses."""

    @property
    def dialect(self) -> Literal["duckdb", "sqlserver"]: ...
    def query(self, sql: str, params: Sequence[object] = ()) -> list[tuple[object, ...]]: ...
    def execute(self, sql: str, params: Sequence[object] = ()) -> int: ...
    def executemany(self, sql: str, rows: Iterable[Sequence[object]]) -> None: ...
    def transaction(self) -> AbstractContextManager[None]: ...


@dataclass(frozen=True)
class Column:
    """A column of a GP table, in SQL Server's types. GP declares every one of them not null."""

    name: str
    sql_type: str
    key: str
    twin_of: str

    @property
    def base(self) -> str:
        return self.sql_type.partition("(")[0]

    @property
    def size(self) -> int:
        return int(self.sql_type.partition("(")[2].rstrip(")").partition(",")[0] or 0)

    @property
    def is_identity(self) -> bool:
        return self.key == "identity"

    @property
    def is_text(self) -> bool:
        """GP keeps nearly every text padded, as char(n); a few long ones are of SQL Server's old type text."""
        return self.base in ("char", "text")

    @property
    def default(self) -> Value:
        """What GP's bound defaults leave in a column that nobody filled."""
        if self.is_text:
            return " " * self.size
        if self.base == "datetime":
            return NO_DATE
        if self.base == "binary":
            return bytes(self.size)
        return Decimal(0) if self.base == "numeric" else 0

    def value(self, row: Row) -> Value:
        """The cell as GP stores it. Raises SampleError where GP could not."""
        text = row.cells[self.name]
        if self.is_text:
            return self._text(row, text)
        if self.base == "datetime":
            return self._date(row, text)
        if self.base == "numeric":
            return self._amount(row, text)
        if self.base == "binary":
            raise row.error(self.name, "GP's flag bytes are not part of the sample", "Leave it empty.")
        return self._number(row, text)

    def _text(self, row: Row, text: str) -> str:
        # GP leaves the last byte of an odd length unused, but fills its codes of three letters.
        usable = self.size if self.size == 3 else self.size - self.size % 2
        if self.base == "char" and len(text) > usable:
            problem = f"{len(text)} characters where {self.sql_type} takes {usable}"
            raise row.error(self.name, problem, "Shorten the text.")
        try:
            text.encode("cp1252")
        except UnicodeEncodeError as error:
            problem = f"{text[error.start]!r} is not in GP's code page 1252"
            raise row.error(self.name, problem, "Write it in other letters.") from None
        return text.ljust(self.size)

    def _date(self, row: Row, text: str) -> datetime:
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            raise row.error(self.name, f"{text!r} is not a date", "Write it as 2027-04-12.")
        try:
            date = datetime.strptime(text, "%Y-%m-%d")
        except ValueError:
            raise row.error(self.name, f"{text!r} is not in the calendar", "Correct it.") from None
        if date.year < 1753:
            raise row.error(self.name, f"{text!r} is before 1753", "Leave it empty for no date.")
        return date

    def _amount(self, row: Row, text: str) -> Decimal:
        precision, scale = (int(n) for n in self.sql_type[8:-1].split(","))
        try:
            amount = Decimal(text)
        except InvalidOperation:
            raise row.error(self.name, f"{text!r} is not a number", "Write it as 1234.50.") from None
        if not amount.is_finite() or abs(amount) >= 10 ** (precision - scale):
            raise row.error(self.name, f"{text} does not fit {self.sql_type}", "Write a smaller number.")
        if amount != round(amount, scale):
            problem = f"{text} has more than {scale} decimals"
            raise row.error(self.name, problem, f"Round it to {scale} decimals.")
        return amount

    def _number(self, row: Row, text: str) -> int:
        lowest, highest = {
            "tinyint": (0, 255),
            "smallint": (-(2**15), 2**15 - 1),
            "int": (-(2**31), 2**31 - 1),
        }[self.base]
        if not re.fullmatch(r"-?\d+", text):
            raise row.error(self.name, f"{text!r} is not a whole number", "Write digits only.")
        if not lowest <= int(text) <= highest:
            problem = f"{text} does not fit {self.sql_type}"
            raise row.error(self.name, problem, f"Write {lowest} to {highest}.")
        return int(text)


@dataclass(frozen=True)
class Table:
    name: str
    columns: tuple[Column, ...]

    @cached_property
    def by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.columns}

    @property
    def key(self) -> list[str]:
        keyed = [c for c in self.columns if c.key.startswith("PK")]
        return [c.name for c in sorted(keyed, key=lambda c: c.key)]


@cache
def schema_of() -> dict[str, Table]:
    """GP's tables by name, as `gp_schema.csv` describes them."""
    columns: dict[str, list[Column]] = defaultdict(list)
    for row in rows(FOLDER / "gp_schema.csv", ("table", "column", "sql_type")):
        cells = row.cells
        if not GP_TYPE.fullmatch(cells["sql_type"]):
            problem = f"{cells['sql_type']!r} is not a type of GP"
            raise row.error("sql_type", problem, "Write smallint, int, char(n), numeric(p,s), datetime …")
        column = Column(cells["column"], cells["sql_type"], cells.get("key", ""), cells.get("twin_of", ""))
        columns[cells["table"]].append(column)
    return {name: Table(name, tuple(its)) for name, its in columns.items()}


def load(
    warehouse: Warehouse,
    database: str | None = None,
    schema: str = "gp",
    collation: str = GP_COLLATION,
    folder: Path = FOLDER,
) -> dict[str, int]:
    """Create the company's tables in `schema`, replacing what is there, and fill them. `collation` is SQL Server's.

    Gives the number of rows by table. The files are read and checked before anything is dropped.
    """
    company = read(folder)
    create(warehouse, database, schema, collation)
    with warehouse.transaction():
        for name, table_rows in company.items():
            insert(warehouse, qualified(name, database, schema), schema_of()[name], table_rows)
    return {name: len(table_rows) for name, table_rows in company.items()}


def read(folder: Path = FOLDER) -> dict[str, list[Cells]]:
    """The rows of the company by table, with what GP works out filled in; defaults are still left out."""
    company = {name: _table_rows(table, folder) for name, table in schema_of().items()}
    for headers, lines in (("SOP10100", "SOP10200"), ("SOP30200", "SOP30300")):
        remaining: dict[tuple[Value, Value], Decimal] = defaultdict(Decimal)
        for line in company[lines]:
            _complete_line(line)
            remaining[line["SOPTYPE"], line["SOPNUMBE"]] += _amount(line, "REMPRICE")
        for header in company[headers]:
            header.setdefault("REMSUBTO", remaining[header["SOPTYPE"], header["SOPNUMBE"]])
    for name, table_rows in company.items():
        twins = [column for column in schema_of()[name].columns if column.twin_of]
        for cells in table_rows:
            for twin in twins:
                if twin.twin_of in cells:
                    cells.setdefault(twin.name, cells[twin.twin_of])
    return company


def _table_rows(table: Table, folder: Path) -> list[Cells]:
    read: list[Cells] = []
    seen: dict[tuple[Value, ...], int] = {}
    for row in rows(folder / "gp" / f"{table.name}.csv", [k for k in table.key if k != "CMPNTSEQ"]):
        for name in row.cells:
            if name not in table.by_name or table.by_name[name].is_identity:
                raise row.error(name, f"not a column of {table.name}", "See gp_schema.csv for its columns.")
        cells = {name: table.by_name[name].value(row) for name in row.cells}
        # SQL Server compares keys without regard to case and trailing blanks.
        key = tuple(_folded(cells.get(k, table.by_name[k].default)) for k in table.key)
        if key in seen:
            problem = f"the same key as line {seen[key]}"
            raise row.error(", ".join(table.key), problem, "Remove one of the lines, or renumber it.")
        seen[key] = row.line
        read.append(cells)
    return read


def _folded(value: Value) -> Value:
    return value.upper().rstrip() if isinstance(value, str) else value


def _amount(cells: Mapping[str, Value], name: str) -> Decimal:
    value = cells.get(name, Decimal(0))
    assert isinstance(value, Decimal)
    return value


def _complete_line(line: Cells) -> None:
    """The quantities and amounts of a sales line that GP keeps up itself."""
    transferred = sum(_amount(line, name) for name in ("QTYPRINV", "QTYPRORD", "QTYPRBAC"))
    remaining = _amount(line, "QUANTITY") - _amount(line, "QTYCANCE") - transferred
    net = _amount(line, "UNITPRCE") - _amount(line, "MRKDNAMT")
    line.setdefault("QTYREMAI", remaining)
    line.setdefault("QTYTOINV", remaining - _amount(line, "QTYTBAOR"))
    line.setdefault("REMPRICE", to_cent(net * remaining))


def to_cent(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_UP)


def qualified(table: str, database: str | None, schema: str) -> str:
    """`table` with schema and database, quoted for both dialects."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in (database, schema, table) if part)


def create(
    warehouse: Warehouse, database: str | None = None, schema: str = "gp", collation: str = GP_COLLATION
) -> None:
    """Create GP's tables, empty, with types, defaults and primary keys; those that exist are dropped."""
    warehouse.execute(_create_schema(warehouse.dialect, database, schema))
    for table in schema_of().values():
        name = qualified(table.name, database, schema)
        if warehouse.dialect == "duckdb":
            columns, kind = [_duckdb_column(column) for column in table.columns], ""
        else:  # GP clusters by other indexes
            columns, kind = [_sqlserver_column(column, collation) for column in table.columns], "nonclustered "
        columns.append(f"primary key {kind}({', '.join(table.key)})")
        warehouse.execute(f"drop table if exists {name}")
        warehouse.execute(f"create table {name} (\n    " + ",\n    ".join(columns) + "\n)")


def _create_schema(dialect: str, database: str | None, schema: str) -> str:
    if dialect == "duckdb":
        name = qualified("", database, schema)
        return f"create schema if not exists {name}"
    literal = schema.replace("'", "''")
    bracketed = "[" + literal.replace("]", "]]") + "]"
    # `create schema` takes no database name and must be alone in its batch.
    statement = f"if schema_id(N'{literal}') is null exec(N'create schema {bracketed}')".replace("'", "''")
    prefix = f"[{database.replace(']', ']]')}]." if database else ""
    return f"exec {prefix}sys.sp_executesql N'{statement}'"


def duckdb_type(column: Column) -> str:
    return {"char": "varchar", "text": "varchar", "datetime": "timestamp", "binary": "blob", "tinyint": "utinyint"}.get(
        column.base, column.sql_type
    )


def _duckdb_column(column: Column) -> str:
    kind = duckdb_type(column)
    if column.is_identity:
        return f"{column.name} {kind} not null"
    if column.name == "DEX_ROW_TS":
        default = "(now() at time zone 'UTC')"
    elif column.is_text:
        default = f"'{' ' * column.size}'"
    elif column.base == "datetime":
        default = "'1900-01-01'"
    elif column.base == "binary":
        default = "'" + r"\x00" * column.size + "'"
    else:
        default = "0"
    return f"{column.name} {kind} default {default} not null"


def _sqlserver_column(column: Column, collation: str) -> str:
    if column.is_identity:
        return f"{column.name} int identity(1, 1) not null"
    if column.name == "DEX_ROW_TS":
        default = "getutcdate()"
    elif column.is_text:
        return f"{column.name} {column.sql_type} collate {collation} default '' not null"
    elif column.base == "datetime":
        default = "'19000101'"
    else:
        default = "0x" + "00" * column.size if column.base == "binary" else "0"
    return f"{column.name} {column.sql_type} default {default} not null"


def insert(warehouse: Warehouse, name: str, table: Table, table_rows: Sequence[Cells]) -> None:
    """Insert rows, many in a statement. Cells that no row fills are left to the table's defaults."""
    used = [column for column in table.columns if any(column.name in cells for cells in table_rows)]
    names = [column.name for column in used]
    if warehouse.dialect == "duckdb":
        names.append("DEX_ROW_ID")
    for start, chunk in _chunks(table_rows, 2_000 // max(len(names), 1)):  # SQL Server takes 2,100 parameters
        params: list[Value] = []
        for number, cells in enumerate(chunk, start + 1):
            params += [cells.get(column.name, column.default) for column in used]
            if warehouse.dialect == "duckdb":
                params.append(number)
        group = "(" + ", ".join("?" * len(names)) + ")"
        values = ", ".join([group] * len(chunk))
        warehouse.execute(f"insert into {name} ({', '.join(names)}) values {values}", params)


def _chunks(table_rows: Sequence[Cells], size: int) -> Iterator[tuple[int, list[Cells]]]:
    rest = iter(table_rows)
    start = 0
    while chunk := list(islice(rest, size)):
        yield start, chunk
        start += len(chunk)


@dataclass(frozen=True)
class Edit:
    """What `edit_order` changed."""

    number: str
    line: int
    item: str
    before: Decimal
    after: Decimal


def edit_order(
    warehouse: Warehouse,
    number: str,
    more: Decimal | int = 1,
    database: str | None = None,
    schema: str = "gp",
) -> Edit:
    """Order `more` of the first line of an order, as a clerk would in GP: line, taxes and totals follow."""
    header_table, line_table = (qualified(t, database, schema) for t in ("SOP10100", "SOP10200"))
    headers = warehouse.query(
        f"select XCHGRATE from {header_table} where SOPTYPE = ? and rtrim(SOPNUMBE) = ?", (ORDER, number)
    )
    lines = warehouse.query(
        f"select LNITMSEQ, ITEMNMBR, QUANTITY, UNITPRCE, MRKDNAMT, XTNDPRCE, TAXAMNT from {line_table}"
        " where SOPTYPE = ? and rtrim(SOPNUMBE) = ? and CMPNTSEQ = 0 order by LNITMSEQ",
        (ORDER, number),
    )
    if not headers or not lines:
        problem = "the order has no lines" if headers else "no such order"
        raise SampleError(f"Order {number}", problem, "Choose an open order with lines, such as ORDST2225.")
    line, item = lines[0][:2]
    assert isinstance(line, int)
    quantity, price, markdown, extended, tax = (_decimal(value) for value in lines[0][2:])
    after = quantity + more
    new_extended = to_cent((price - markdown) * after)
    new_tax = to_cent(tax * new_extended / extended) if extended else tax
    priced, taxed = new_extended - extended, new_tax - tax
    # Originating amounts × exchange rate = functional amounts; a rate of 0 means the same currency.
    rate = _decimal(headers[0][0]) or Decimal(1)
    original_priced, original_taxed = to_cent(priced / rate), to_cent(taxed / rate)
    with warehouse.transaction():
        line_changes = {
            **dict.fromkeys(("QUANTITY", "QTYREMAI", "QTYTOINV"), more),
            **{"XTNDPRCE": priced, "REMPRICE": priced, "TAXAMNT": taxed},
            **{"OXTNDPRC": original_priced, "OREPRICE": original_priced, "ORTAXAMT": original_taxed},
        }
        header_changes = {
            **{"SUBTOTAL": priced, "REMSUBTO": priced, "TAXAMNT": taxed, "DOCAMNT": priced + taxed},
            **{"ORSUBTOT": original_priced, "OREMSUBT": original_priced, "ORTAXAMT": original_taxed},
            "ORDOCAMT": original_priced + original_taxed,
            "MRKDNAMT": markdown * more,
            "ORMRKDAM": to_cent(markdown * more / rate),
        }
        this_order = "where SOPTYPE = ? and rtrim(SOPNUMBE) = ?"
        warehouse.execute(
            f"update {line_table} set {_added(line_changes)} {this_order} and LNITMSEQ = ? and CMPNTSEQ = 0",
            (*line_changes.values(), ORDER, number, line),
        )
        warehouse.execute(
            f"update {header_table} set {_added(header_changes)} {this_order}",
            (*header_changes.values(), ORDER, number),
        )
    return Edit(number, line, str(item).rstrip(), quantity, after)


def _added(changes: Iterable[str]) -> str:
    return ", ".join(f"{name} = {name} + ?" for name in changes)


def transfer_order(
    warehouse: Warehouse, number: str, invoice: str = "", database: str | None = None, schema: str = "gp"
) -> None:
    """Move an order to GP's history, as transferring its last line to an invoice does.

    With `invoice`, that invoice is posted at once: it goes to history, too, and to the open receivables.
    """
    if invoice:
        _post(warehouse, number, invoice, database, schema)
    where = "where SOPTYPE = ? and rtrim(SOPNUMBE) = ?"
    with warehouse.transaction():
        for work, history in (("SOP10100", "SOP30200"), ("SOP10200", "SOP30300")):
            _to_history(warehouse, work, history, number, {}, database, schema)
            warehouse.execute(f"delete from {qualified(work, database, schema)} {where}", (ORDER, number))


def _post(warehouse: Warehouse, number: str, invoice: str, database: str | None, schema: str) -> None:
    """The order's content as a posted invoice that nobody has paid yet."""
    column = schema_of()["SOP30200"].by_name["SOPNUMBE"]
    theirs = {"SOPTYPE": f"{INVOICE}", "SOPNUMBE": f"'{invoice.ljust(column.size)}'"}
    origin = {"ORIGTYPE": f"{ORDER}", "ORIGNUMB": "SOPNUMBE", "INVODATE": "DOCDATE", "ACTLSHIP": "ReqShipDate"}
    with warehouse.transaction():
        _to_history(warehouse, "SOP10100", "SOP30200", number, {**theirs, **origin}, database, schema)
        _to_history(warehouse, "SOP10200", "SOP30300", number, theirs, database, schema)
        source, target = (qualified(t, database, schema) for t in ("SOP30200", "RM20101"))
        taken = {
            **{"CUSTNMBR": "CUSTNMBR", "RMDTYPAL": f"{RECEIVABLE}", "DOCNUMBR": "SOPNUMBE", "DOCDATE": "DOCDATE"},
            **{"DUEDATE": "DUEDATE", "ORTRXAMT": "DOCAMNT", "CURTRXAM": "DOCAMNT"},
        }
        if warehouse.dialect == "duckdb":
            taken["DEX_ROW_ID"] = f"(select coalesce(max(DEX_ROW_ID), 0) + 1 from {target})"
        warehouse.execute(
            f"insert into {target} ({', '.join(taken)}) select {', '.join(taken.values())} from {source}"
            " where SOPTYPE = ? and rtrim(SOPNUMBE) = ?",
            (INVOICE, invoice),
        )


def _to_history(
    warehouse: Warehouse,
    work: str,
    history: str,
    number: str,
    instead: Mapping[str, str],
    database: str | None,
    schema: str,
) -> None:
    """Copy an order's rows from a work table to its history; `instead` holds SQL for columns that change."""
    source, target = (qualified(t, database, schema) for t in (work, history))
    columns = [c.name for c in schema_of()[history].columns if c.name in schema_of()[work].by_name]
    columns.remove("DEX_ROW_ID")
    changed = {"SOPSTATUS": "9", **instead}
    selected = [changed.get(name, name) for name in columns]
    if warehouse.dialect == "duckdb":
        columns.append("DEX_ROW_ID")
        last = f"(select coalesce(max(DEX_ROW_ID), 0) from {target})"
        selected.append(f"{last} + row_number() over (order by DEX_ROW_ID)")
    warehouse.execute(
        f"insert into {target} ({', '.join(columns)}) select {', '.join(selected)} from {source}"
        " where SOPTYPE = ? and rtrim(SOPNUMBE) = ?",
        (ORDER, number),
    )


def _decimal(value: object) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal(str(value))
