"""GP tables of one's own: from CSV and Parquet files into a DuckDB file, with the types that dbt's sources give.

DuckDB reads and converts the files, so a history of millions of lines is no trouble. A cell that cannot be converted
is named with its file, row and column, and then nothing is loaded at all.
"""

from __future__ import annotations

import codecs
import csv
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sample.company import GP_TYPE, Column, Warehouse, duckdb_type, qualified, schema_of
from sample.reading import SampleError

SCHEMA = "gp"
SOURCE = "gp"
"""dbt's name of the source."""
SUFFIXES = (".csv", ".txt", ".tsv", ".parquet")
DELIMITERS = ",;|\t"
ROW_ID = "DEX_ROW_ID"
SHOWN = 10
"""Flawed cells that a message names."""
ESSENTIAL: Mapping[str, tuple[str, ...]] = {"SOP10100": ("CUSTNMBR",), "SOP10200": ("ITEMNMBR", "QUANTITY")}
"""Without these, GP's default would keep every order out or empty; so it is with the columns of a primary key."""
OPTIONAL_KEYS = ("CMPNTSEQ", "SEQNUMBR")
"""Columns of a primary key that GP's default suits."""
DATES = (
    "%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y%m%d",
    "%m/%d/%Y", "%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %I:%M %p",
    "%b %d %Y %I:%M%p", "%b %d %Y %I:%M:%S%p", "%b %d %Y",
)  # fmt: skip
"""How ISO, the United States and SQL Server write a date."""


@dataclass(frozen=True)
class Source:
    """A table of dbt's source, with the columns that the models read."""

    name: str
    description: str
    columns: tuple[Column, ...]
    is_extra: bool
    """Read by one of the integrations around the order only."""

    @property
    def key(self) -> tuple[str, ...]:
        known = schema_of().get(self.name)
        mine = {column.name for column in self.columns}
        return tuple(name for name in known.key if name in mine) if known else ()

    @property
    def needed(self) -> tuple[str, ...]:
        """The columns without which a file is of no use."""
        return (*(name for name in self.key if name not in OPTIONAL_KEYS), *ESSENTIAL.get(self.name, ()))

    @property
    def select(self) -> str:
        """The statement that reads the table in GP's company database."""
        return f"select {', '.join(column.name for column in self.columns)} from dbo.{self.name}"


@dataclass
class Loaded:
    """What became of one file."""

    table: str
    file: str
    rows: int = 0
    filled: list[str] = field(default_factory=list)
    """Columns that the file does not have: GP's default is in them."""
    ignored: list[str] = field(default_factory=list)
    """Columns of the file that no model reads."""
    encoding: str = ""
    """Where it is another than UTF-8."""


@dataclass
class Result:
    loaded: list[Loaded]
    without_file: list[Source]
    """Tables that were left as they are, or made without a row."""
    unknown: list[str]
    """Files that are not of a table of the source."""


@dataclass(frozen=True)
class _File:
    """A file whose header has been read. `columns` has the source's names, in the file's order, or None for others."""

    source: Source
    path: Path
    header: tuple[str, ...]
    columns: tuple[str | None, ...]
    delimiter: str = ","
    skipped: int = 1
    encoding: str = "utf-8"

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def is_parquet(self) -> bool:
        return self.path.suffix.lower() == ".parquet"


def sources(project_dir: Path) -> dict[str, Source]:
    """The tables of dbt's source by name, as the YAML files of the staging models describe them."""
    found: dict[str, Source] = {}
    for path in sorted((project_dir / "models" / "staging").glob("**/*.yml")):
        text = path.read_text(encoding="utf-8")
        if not re.search(r"^sources:", text, re.MULTILINE):
            continue
        for source in yaml.safe_load(text)["sources"]:
            for table in source["tables"] if source["name"] == SOURCE else ():
                columns = tuple(_column(path, table["name"], column) for column in table.get("columns", ()))
                is_extra = "enabled" in table.get("config", {})
                described = " ".join(str(table.get("description", "")).split()).rstrip(".")
                found[table["name"]] = Source(table["name"], described, columns, is_extra)
    if not found:
        raise SampleError(f"{project_dir / 'models' / 'staging'}", f"no source {SOURCE!r}", "Add it to __sources.yml.")
    return found


def _column(path: Path, table: str, column: Mapping[str, Any]) -> Column:
    known = schema_of().get(table)
    name = str(column["name"])
    declared = str(column.get("data_type") or (known and name in known.by_name and known.by_name[name].sql_type) or "")
    sql_type = declared.replace(" ", "")
    if not GP_TYPE.fullmatch(sql_type):
        raise SampleError(
            f"{path.name}, table {table}, column {name}",
            f"data_type {declared!r} is not a type of GP" if declared else "no data_type",
            "Write smallint, int, char(n), numeric(p,s), datetime …",
        )
    return Column(name, sql_type, "", "")


# ------------------------------------------------------------------------------------------------------- the files


def load(
    warehouse: Warehouse,
    tables: Mapping[str, Source],
    folder: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Result:
    """Replaces each table for which `folder` has a file. A table that is nowhere is made without a row."""
    assert warehouse.dialect == "duckdb"
    with tempfile.TemporaryDirectory() as scratch:
        files, unknown = _files(tables, folder, Path(scratch))
        with warehouse.transaction():
            warehouse.execute(f"create schema if not exists {SCHEMA}")
            loaded: list[Loaded] = []
            for file in files:
                progress(len(loaded), len(files))
                loaded.append(_load(warehouse, file))
            its = {file.source.name for file in files}
            left = [source for name, source in tables.items() if name not in its]
            for source in left:
                warehouse.execute(_create(source, "if not exists "))
    return Result(loaded, left, unknown)


def _files(tables: Mapping[str, Source], folder: Path, scratch: Path) -> tuple[list[_File], list[str]]:
    by_name = {name.casefold(): source for name, source in tables.items()}
    found: dict[str, Path] = {}
    unknown = []
    for path in sorted(folder.iterdir()):
        if not path.is_file() or path.suffix.lower() not in SUFFIXES:
            continue
        source = by_name.get(path.stem.casefold().removeprefix("dbo."))
        if source is None:
            unknown.append(path.name)
        elif source.name in found:
            problem = f"{source.name} has another file, {found[source.name].name}"
            raise SampleError(path.name, problem, "Leave one of them.")
        else:
            found[source.name] = path
    if not found:
        raise SampleError(
            str(folder), "no file of a GP table", f"Put SOP10100.csv and others there: {', '.join(tables)}."
        )
    files = [_opened(tables[name], path, scratch) for name, path in found.items()]
    missing = [(file, name) for file in files for name in file.source.needed if name not in file.columns]
    if missing:
        first = missing[0][0]
        raise SampleError(
            "; ".join(f"{file.name} has no column {name}" for file, name in missing),
            "every row needs these",
            f"`loader sample select {first.source.name}` prints the statement that exports them.",
        )
    return files, unknown


def _opened(source: Source, path: Path, scratch: Path) -> _File:
    if path.suffix.lower() == ".parquet":
        import duckdb

        try:
            with duckdb.connect() as connection:
                described = connection.execute("describe from read_parquet(?)", [str(path)]).fetchall()
            header = tuple(str(row[0]) for row in described)
        except duckdb.Error as error:
            raise SampleError(path.name, str(error).splitlines()[0], "Write it again.") from None
        return _File(source, path, header, _named(source, path, header))
    path, encoding = _as_utf8(path, scratch)
    with path.open(newline="", encoding="utf-8-sig") as file:
        first = file.readline()
        second = file.readline()
    if not first.strip():
        raise SampleError(f"{path.name}, row 1", "no header", "Name the columns in the first line.")
    bare = re.sub(r'"[^"]*"', "", first)
    delimiter = max(DELIMITERS, key=bare.count)
    header = tuple(cell.strip() for cell in next(csv.reader([first], delimiter=delimiter)))
    has_rule = re.fullmatch(r"[-,;|\t\s]*-[-,;|\t\s]*", second)  # as sqlcmd draws it
    columns = _named(source, path, header)
    return _File(source, path, header, columns, delimiter, 2 if has_rule else 1, encoding)


def _named(source: Source, path: Path, header: Sequence[str]) -> tuple[str | None, ...]:
    """The source's columns in the order of the file. Case does not matter."""
    by_name = {column.name.casefold(): column.name for column in source.columns}
    names = [by_name.get(cell.casefold()) for cell in header]
    for name in filter(None, names):
        if names.count(name) > 1:
            raise SampleError(f"{path.name}, row 1", f"{name} is there twice", "Leave one of the columns.")
    if not any(names):
        raise SampleError(
            f"{path.name}, row 1",
            f"no column of {source.name} in the first line",
            "It has the columns' names, as `sqlcmd` and SSMS write them.",
        )
    return tuple(names)


def _as_utf8(path: Path, scratch: Path) -> tuple[Path, str]:
    """The file, or a copy of it in UTF-8 with the same name. Windows' tools write UTF-16 or the system's code page."""
    with path.open("rb") as file:
        start = file.read(4)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif _is_utf8(path):
        return path, ""
    else:
        encoding = "cp1252"
    copy = scratch / path.name
    try:
        with path.open(encoding=encoding, newline="") as theirs, copy.open("w", encoding="utf-8", newline="") as ours:
            shutil.copyfileobj(theirs, ours)
    except UnicodeDecodeError as error:
        problem = f"byte {error.start} is neither UTF-8 nor code page 1252"
        raise SampleError(path.name, problem, "Save the file as UTF-8.") from None
    return copy, encoding


def _is_utf8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        try:
            while block := file.read(1 << 20):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


# ------------------------------------------------------------------------------------------------ into the warehouse


def _load(warehouse: Warehouse, file: _File) -> Loaded:
    with _raw(warehouse, file) as raw:
        _refuse_flaws(warehouse, file, raw)
        _refuse_repeated_keys(warehouse, file, raw)
        source = file.source
        warehouse.execute(_create(source, "or replace "))
        values = {column.name: _value(file, column) for column in source.columns if column.name in file.columns}
        if any(column.name == ROW_ID for column in source.columns):
            values.setdefault(ROW_ID, "file_row")
        names = ", ".join(map(_quoted, values))
        warehouse.execute(
            f"insert into {qualified(source.name, None, SCHEMA)} ({names})"
            f" select {', '.join(values.values())} from {raw} order by file_row"
        )
        ((rows,),) = warehouse.query(f"select count(*) from {raw}")
    assert isinstance(rows, int)
    return Loaded(
        source.name,
        file.name,
        rows,
        [column.name for column in source.columns if column.name not in values],
        [name for name, its in zip(file.header, file.columns, strict=True) if its is None],
        "" if file.encoding == "utf-8" else file.encoding,
    )


@contextmanager
def _raw(warehouse: Warehouse, file: _File) -> Iterator[str]:
    """A temporary table with the cells as texts, c0, c1 …, and `file_row`, which counts as a spreadsheet does."""
    raw = "own_file"
    numbered = f"row_number() over () + {file.skipped} as file_row"
    if file.is_parquet:
        cells = ", ".join(f"cast({_quoted(name)} as varchar) as c{n}" for n, name in enumerate(file.header))
        read = f"select {numbered}, {cells} from read_parquet(?)"
    else:
        columns = ", ".join(f"'c{n}': 'VARCHAR'" for n in range(len(file.header)))
        read = (
            f"select {numbered}, * from read_csv(?, auto_detect = false, header = false, skip = {file.skipped},"
            f""" delim = '{file.delimiter}', quote = '"', escape = '"', columns = {{{columns}}})"""
        )
    try:
        warehouse.execute(f"create or replace temporary table {raw} as {read}", [str(file.path)])
    except Exception:
        _refuse_shape(file)
        raise
    yield raw
    warehouse.execute(f"drop table {raw}")


def _refuse_shape(file: _File) -> None:
    """Raises SampleError with the row whose cells cannot be told apart."""
    if file.is_parquet:
        return
    with file.path.open(newline="", encoding="utf-8-sig") as opened:
        lines = csv.reader(opened, delimiter=file.delimiter, strict=True)
        try:
            for row, cells in enumerate(lines, 1):
                if cells and len(cells) != len(file.header):
                    raise SampleError(
                        f"{file.name}, row {row}",
                        f"{len(cells)} cells under {len(file.header)} columns",
                        "Put quotes around a text that holds the delimiter; nothing but rows may follow the header.",
                    )
        except csv.Error as error:
            remedy = "Double the quotes inside a quoted text."
            raise SampleError(f"{file.name}, line {lines.line_num}", str(error), remedy) from None


def _refuse_flaws(warehouse: Warehouse, file: _File, raw: str) -> None:
    """Raises SampleError with the cells that GP's column could not hold."""
    by_name = {column.name: column for column in file.source.columns}
    cells = {name: _cell(number) for number, name in enumerate(file.columns) if name}
    bad = {
        name: f"{cell} is not null and {_converted(file, by_name[name], cell)} is null" for name, cell in cells.items()
    }
    counts = ", ".join(f"count(*) filter (where {each})" for each in bad.values())
    (numbers,) = warehouse.query(f"select {counts} from {raw}")
    flaws: list[tuple[Any, Column, str]] = []
    for name in (name for name, number in zip(bad, numbers, strict=True) if number):
        found = warehouse.query(
            f"select file_row, {cells[name]} from {raw} where {bad[name]} order by file_row limit {SHOWN + 1}"
        )
        flaws += [(row, by_name[name], str(text)) for row, text in found]
    if not flaws:
        return
    flaws.sort(key=lambda flaw: flaw[0])
    described = "".join(
        f"\nrow {row}, column {column.name}: {text!r} is not {_expected(column)}" for row, column, text in flaws[:SHOWN]
    )
    more = "\nand more" if len(flaws) > SHOWN else ""
    problem = f"GP could not hold these cells, so nothing was loaded{described}{more}"
    raise SampleError(file.name, problem, "Correct the file and load it again.")


def _expected(column: Column) -> str:
    if column.is_text:
        return f"a text of at most {column.size} characters"
    if column.base == "datetime":
        return "a date such as 2027-04-12 or 4/12/2027"
    if column.base == "numeric":
        return f"a number such as 1234.50 that fits {column.sql_type}"
    return f"a whole number that fits {column.sql_type}"


def _refuse_repeated_keys(warehouse: Warehouse, file: _File, raw: str) -> None:
    key = [name for name in file.source.key if name in file.columns]
    if not key:
        return
    by_name = {column.name: column for column in file.source.columns}
    values = [_value(file, by_name[name]) for name in key]
    compared = ", ".join(f"upper({v})" if by_name[n].is_text else v for n, v in zip(key, values, strict=True))
    found = warehouse.query(
        f"select min(file_row), max(file_row), {', '.join(f'min({value})' for value in values)} from {raw}"
        f" group by {compared} having count(*) > 1 order by 1 limit 1"
    )
    if found:
        first, last, *theirs = found[0]
        named = ", ".join(f"{name} {value}" for name, value in zip(key, theirs, strict=True))
        problem = f"the same key as row {first}: {named}"
        raise SampleError(f"{file.name}, row {last}", problem, "GP has it once; leave one of the rows.")


# ---------------------------------------------------------------------------------------------------------- in SQL


def _create(source: Source, how: str) -> str:
    kind, there = ("or replace ", "") if how == "or replace " else ("", how)
    columns = ", ".join(
        f"{_quoted(column.name)} {duckdb_type(column)} default {_default(column)} not null" for column in source.columns
    )
    return f"create {kind}table {there}{qualified(source.name, None, SCHEMA)} ({columns})"


def _default(column: Column) -> str:
    """What GP leaves in a column that nobody filled."""
    if column.is_text:
        return "''"
    if column.base == "datetime":
        return "timestamp '1900-01-01'"
    return "''::blob" if column.base == "binary" else "0"


def _value(file: _File, column: Column) -> str:
    cell = _cell(file.columns.index(column.name))
    return f"coalesce({_converted(file, column, cell)}, {_default(column)})"


def _cell(number: int) -> str:
    """The cell without blanks after it; null where it is empty, or says NULL as SQL Server's tools do."""
    return f"nullif(nullif(rtrim(c{number}), ''), 'NULL')"


def _converted(file: _File, column: Column, cell: str) -> str:
    if column.is_text:
        limit = f"length({cell}) <= {column.size}" if column.base == "char" else f"{cell} is not null"
        return f"case when {limit} then {cell} end"
    if column.base == "datetime":
        return _date(cell)
    if column.base == "binary":
        return _default(column)
    number = _number(cell, file.delimiter)
    if column.base == "numeric":
        return f"try_cast({number} as {column.sql_type})"
    truth = f"case lower({cell}) when 'true' then '1' when 'false' then '0' else {number} end"
    exact = f"try_cast({truth} as decimal(28, 10))"
    return f"case when {exact} = trunc({exact}) then try_cast({exact} as {duckdb_type(column)}) end"


def _date(cell: str) -> str:
    """Seconds' fractions, several blanks in a row and a Z after an instant are left aside; a year has four digits."""
    text = f"regexp_replace(trim({cell}), '(\\d:\\d\\d:\\d\\d)[.:]\\d+', '\\1')"
    text = f"regexp_replace(regexp_replace({text}, ' +', ' ', 'g'), '(Z|[+]00(:?00)?)$', '')"
    formats = ", ".join(f"'{each}'" for each in DATES)
    parsed = f"try_strptime({text}, [{formats}])"
    return f"case when year({parsed}) between 1753 and 9999 then {parsed} end"


def _number(cell: str, delimiter: str) -> str:
    """A comma groups thousands; in a file with semicolons, where it cannot delimit, it is the decimal sign."""
    text = f"ltrim(trim({cell}), '$')"
    if delimiter == ";":
        return (
            f"case when regexp_full_match({text}, '[-+]?\\d{{1,3}}([.]\\d{{3}})*,\\d*')"
            f" or regexp_full_match({text}, '[-+]?\\d*,\\d*')"
            f" then replace(replace({text}, '.', ''), ',', '.') else {text} end"
        )
    return (
        f"case when regexp_full_match({text}, '[-+]?\\d{{1,3}}(,\\d{{3}})+([.]\\d*)?')"
        f" then replace({text}, ',', '') else {text} end"
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


# -------------------------------------------------------------------------------------------------------- exporting


def write_csv(path: Path, source: Source, rows: Iterable[Sequence[object]]) -> int:
    """Writes rows that were read with `source.select`, for `load`. Gives their number."""
    count = 0
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([column.name for column in source.columns])
        for row in rows:
            writer.writerow([cell.rstrip(" ") if isinstance(cell, str) else cell for cell in row])
            count += 1
    return count
