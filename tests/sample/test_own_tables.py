"""Tables of one's own: what Excel, SSMS and sqlcmd write is read; what GP could not hold is named."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from sample import own
from sample.reading import SampleError
from tests.conftest import PROJECT
from tests.sample.conftest import DuckDB

TABLES = own.sources(PROJECT)
HEADERS = "SOPTYPE,SOPNUMBE,CUSTNMBR"


def load(warehouse: DuckDB, folder: Path, **files: str | bytes) -> own.Result:
    """Loads files, by name with an underscore for the dot."""
    for name, content in files.items():
        path = folder / name.replace("_", ".")
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return own.load(warehouse, TABLES, folder)


def cell(warehouse: DuckDB, tmp_path: Path, column: str, text: str, delimiter: str = ",") -> Any:
    """What becomes of one cell of SOP10100."""
    header = delimiter.join([*HEADERS.split(","), column])
    load(warehouse, tmp_path, SOP10100_csv=f"{header}\n{delimiter.join(('2', 'A', 'B'))}{delimiter}{text}\n")
    return warehouse.query(f"select {column} from gp.SOP10100")[0][0]


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2027-04-12", dt.datetime(2027, 4, 12)),
        ("2027-04-12 00:00:00.000", dt.datetime(2027, 4, 12)),
        ("2027-04-12T00:00:00", dt.datetime(2027, 4, 12)),
        ("4/12/2027", dt.datetime(2027, 4, 12)),
        ("04/12/2027 12:00:00 AM", dt.datetime(2027, 4, 12)),
        ("Apr 12 2027 12:00AM", dt.datetime(2027, 4, 12)),
        ("Jan  1 1900 12:00:00:000AM", dt.datetime(1900, 1, 1)),
        ("1900-01-01", dt.datetime(1900, 1, 1)),
        ("", dt.datetime(1900, 1, 1)),
        ("NULL", dt.datetime(1900, 1, 1)),
    ],
)
def test_dates(warehouse: DuckDB, tmp_path: Path, text: str, date: dt.datetime) -> None:
    assert cell(warehouse, tmp_path, "DOCDATE", text) == date


@pytest.mark.parametrize(
    ("text", "delimiter", "amount"),
    [
        ("1234.50000", ",", "1234.5"),
        ('"1,234.50"', ",", "1234.5"),
        ('"1,234,567"', ",", "1234567"),
        ("$12.50", ",", "12.5"),
        ("-.5", "|", "-0.5"),
        ("1E3", ",", "1000"),
        ("1234,50", ";", "1234.5"),
        ("1.234,50", ";", "1234.5"),
        ("1,234", ";", "1.234"),
        ("1234.50", ";", "1234.5"),
        ("", ",", "0"),
    ],
)
def test_amounts(warehouse: DuckDB, tmp_path: Path, text: str, delimiter: str, amount: str) -> None:
    assert cell(warehouse, tmp_path, "DOCAMNT", text, delimiter) == Decimal(amount)


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("1.00000", 1), ("true", 1), ("False", 0), ("", 0)])
def test_whole_numbers(warehouse: DuckDB, tmp_path: Path, text: str, number: int) -> None:
    assert cell(warehouse, tmp_path, "VOIDSTTS", text) == number


@pytest.mark.parametrize(
    ("column", "text", "expected"),
    [
        ("DOCDATE", "13/04/2027", "a date such as 2027-04-12 or 4/12/2027"),
        ("DOCDATE", "2027-02-30", "a date"),
        ("DOCDATE", "4/12/27", "a date"),
        ("DOCAMNT", "12.5.0", "a number such as 1234.50 that fits numeric(19,5)"),
        ("DOCAMNT", '"1,5"', "a number"),
        ("DOCAMNT", "123456789012345", "a number"),
        ("VOIDSTTS", "1.5", "a whole number that fits smallint"),
        ("VOIDSTTS", "70000", "a whole number"),
        ("CUSTNAME", "x" * 66, "a text of at most 65 characters"),
    ],
)
def test_a_cell_that_gp_could_not_hold(
    warehouse: DuckDB, tmp_path: Path, column: str, text: str, expected: str
) -> None:
    with pytest.raises(SampleError) as caught:
        load(warehouse, tmp_path, SOP10100_csv=f"{HEADERS},{column}\n2,A,B,\n2,C,D,{text}\n")
    shown = text.strip('"')
    assert (
        f"SOP10100.csv: GP could not hold these cells, so nothing was loaded\nrow 3, column {column}: '{shown}' is"
        in (str(caught.value))
    )
    assert expected in str(caught.value)


def test_a_bad_cell_leaves_what_was_loaded_before(warehouse: DuckDB, tmp_path: Path) -> None:
    load(warehouse, tmp_path, SOP10100_csv=f"{HEADERS}\n2,A,B\n", RM00102_csv="CUSTNMBR,ADRSCODE\nB,MAIN\n")
    with pytest.raises(SampleError):
        load(warehouse, tmp_path, SOP10100_csv=f"{HEADERS}\ntwo,A,B\n", RM00102_csv="CUSTNMBR,ADRSCODE\n")
    assert warehouse.query("select SOPNUMBE from gp.SOP10100") == [("A",)]
    assert warehouse.query("select count(*) from gp.RM00102") == [(1,)]


def test_headers_in_any_case_with_a_byte_order_mark_extra_and_missing_columns(
    warehouse: DuckDB, tmp_path: Path
) -> None:
    result = load(
        warehouse, tmp_path, **{"dbo_sop10100_CSV": b"\xef\xbb\xbfsoptype;Mine;sopnumbe;CUSTNMBR\r\n2;x;A;B\r\n"}
    )
    (loaded,) = result.loaded
    assert (loaded.table, loaded.file, loaded.rows) == ("SOP10100", "dbo.sop10100.CSV", 1)
    assert loaded.ignored == ["Mine"]
    assert "DOCDATE" in loaded.filled
    assert warehouse.query("select SOPTYPE, SOPNUMBE, CUSTNMBR, DOCDATE, DOCAMNT, CUSTNAME from gp.SOP10100") == [
        (2, "A", "B", dt.datetime(1900, 1, 1), Decimal(0), "")
    ]
    assert {source.name for source in result.without_file if not source.is_extra} == {
        "SOP10200", "SOP30200", "RM00102", "IV00101",
    }  # fmt: skip
    assert warehouse.query("select count(*) from gp.SOP10200") == [(0,)]


def test_what_sqlcmd_writes(warehouse: DuckDB, tmp_path: Path) -> None:
    text = (
        'ITEMNMBR|ITEMDESC|UOMSCHDL|INACTIVE\n--------|--------|--------|--------\nBOLT    |12" bolt, Größe|EACH|NULL\n'
    )
    result = load(warehouse, tmp_path, IV00101_txt=text.encode("utf-16"))
    assert result.loaded[0].encoding == "utf-16"
    assert warehouse.query("select ITEMNMBR, ITEMDESC, UOMSCHDL, INACTIVE from gp.IV00101") == [
        ("BOLT", '12" bolt, Größe', "EACH", 0)
    ]


def test_what_excel_writes_on_windows(warehouse: DuckDB, tmp_path: Path) -> None:
    text = 'ITEMNMBR,ITEMDESC\r\nBOLT,"Größe, 12"" lang"\r\n'
    result = load(warehouse, tmp_path, IV00101_csv=text.encode("cp1252"))
    assert result.loaded[0].encoding == "cp1252"
    assert warehouse.query("select ITEMDESC from gp.IV00101") == [('Größe, 12" lang',)]


def test_parquet(warehouse: DuckDB, tmp_path: Path) -> None:
    duckdb.execute(
        "copy (select 2::bigint as soptype, 'A' as SOPNUMBE, 'B' as CUSTNMBR, date '2027-04-12' as DOCDATE,"
        " 12.5::double as DOCAMNT, null::varchar as CUSTNAME, 1.25::decimal(19,5) as TAXAMNT)"
        f" to '{tmp_path / 'SOP10100.parquet'}'"
    )
    own.load(warehouse, TABLES, tmp_path)
    assert warehouse.query("select SOPTYPE, DOCDATE, DOCAMNT, CUSTNAME, TAXAMNT from gp.SOP10100") == [
        (2, dt.datetime(2027, 4, 12), Decimal("12.5"), "", Decimal("1.25"))
    ]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no file of a GP table. Put SOP10100.csv and others there"),
        ({"SOP10100_csv": "SOPTYPE,SOPNUMBE\n"}, "SOP10100.csv has no column CUSTNMBR: every row needs these."
         " `loader sample select SOP10100` prints"),
        ({"SOP10100_csv": "SOPTYPE\n", "SOP10200_csv": "SOPTYPE,SOPNUMBE,LNITMSEQ,ITEMNMBR\n"},
         "SOP10100.csv has no column SOPNUMBE; SOP10100.csv has no column CUSTNMBR; SOP10200.csv has no column QUAN"),
        ({"SOP10100_csv": "2,ORD1,ME\n"}, "SOP10100.csv, row 1: no column of SOP10100 in the first line"),
        ({"SOP10100_csv": ""}, "SOP10100.csv, row 1: no header"),
        ({"SOP10100_csv": HEADERS + ",soptype\n"}, "SOPTYPE is there twice"),
        ({"SOP10100_csv": HEADERS + "\n2,A,B\n\n(1 rows affected)\n"}, "SOP10100.csv, row 4: 1 cells under 3 columns"),
        ({"SOP10100_csv": HEADERS + "\n2,A,B,C\n"}, "SOP10100.csv, row 2: 4 cells under 3 columns. Put quotes"),
        ({"SOP10100_csv": HEADERS + "\n2,A,B\n2,a ,C\n"}, "SOP10100.csv, row 3: the same key as row 2: "),
        ({"SOP10100_csv": HEADERS + "\n", "sop10100_txt": HEADERS + "\n"}, "SOP10100 has another file"),
        ({"IV00101_parquet": "no"}, "IV00101.parquet"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_loaded(warehouse: DuckDB, tmp_path: Path, files: dict[str, str], message: str) -> None:
    with pytest.raises(SampleError) as caught:
        load(warehouse, tmp_path, **files)
    assert message in str(caught.value)


def test_the_sample_company_survives_the_way_through_csv(loaded: DuckDB, warehouse: DuckDB, tmp_path: Path) -> None:
    for source in TABLES.values():
        rows = loaded.query(source.select.replace("dbo.", "gp."))
        assert own.write_csv(tmp_path / f"{source.name}.csv", source, rows) == len(rows)
    result = own.load(warehouse, TABLES, tmp_path)
    assert not result.without_file
    for source in TABLES.values():
        columns = ", ".join(f"rtrim({column.name})" if column.is_text else column.name for column in source.columns)
        select = f"select {columns} from gp.{source.name} order by all"
        assert warehouse.query(select) == loaded.query(select), source.name
