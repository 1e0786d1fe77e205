"""A broken file stops with the file, the line, the column and what to do."""

from __future__ import annotations

import pytest

from sample import company, organisation
from sample.reading import SampleError, rows


def broken(path, line, old, new):
    lines = path.read_text(encoding="utf-8").split("\n")
    assert old in lines[line - 1]
    lines[line - 1] = lines[line - 1].replace(old, new, 1)
    path.write_text("\n".join(lines), encoding="utf-8")


@pytest.mark.parametrize(
    ("line", "old", "new", "message"),
    [
        (2, "ORDST0007,2", "ORDST0007-AND-TOO-LONG,2",
         r"SOP10100.csv, line 2, column SOPNUMBE: 22 characters where char\(21\) takes 20. Shorten"),
        (2, "ORDST0007", "ORDSTΩ007", r"line 2, column SOPNUMBE: 'Ω' is not in GP's code page 1252. Write it in"),
        (2, "ORDST0007,2", "ORDST0007,two", r"line 2, column SOPTYPE: 'two' is not a whole number. Write digits"),
        (2, "ORDST0007,2", "ORDST0007,70000", r"column SOPTYPE: 70000 does not fit smallint. Write -32768 to 32767"),
        (2, "219.65", "219,65", r"SOP10100.csv, line 2: \d+ cells under \d+ columns. Add the missing commas, or"),
        (2, "219.65", "1.2.3", r"line 2, column SUBTOTAL: '1.2.3' is not a number. Write it as 1234.50"),
        (2, "219.65", "1.123456", r"column SUBTOTAL: 1.123456 has more than 5 decimals. Round it to 5"),
        (2, "219.65", "1e15", r"column SUBTOTAL: 1e15 does not fit numeric\(19,5\). Write a smaller number"),
        (2, "2027-04-13", "13/04/2027", r"column DOCDATE: '13/04/2027' is not a date. Write it as 2027-04-12"),
        (2, "2027-04-13", "2027-02-29", r"column DOCDATE: '2027-02-29' is not in the calendar"),
        (2, "2027-04-13", "0001-01-01", r"column DOCDATE: '0001-01-01' is before 1753. Leave it empty"),
        (3, "ORDST1026", "ordst0007", r"line 3, column SOPNUMBE, SOPTYPE: the same key as line 2. Remove one of"),
        (3, "ORDST1026", "", r"line 3, column SOPNUMBE: is empty. Every line needs it"),
        (1, "DOCAMNT", "TRANSFERRED", r"column TRANSFERRED: not a column of SOP10100. See gp_schema.csv"),
        (1, "DOCAMNT", "TAXAMNT", r"line 1: the column name 'TAXAMNT' is used twice"),
        (1, "SOPNUMBE", "NUMBER", r"line 1: no column SOPNUMBE. Add the column"),
    ],
)  # fmt: skip
def test_a_broken_company_file(files, line, old, new, message):
    broken(files / "gp" / "SOP10100.csv", line, old, new)
    with pytest.raises(SampleError, match=message):
        company.read(files)


def test_nothing_is_dropped_for_a_broken_file(files, warehouse):
    company.load(warehouse, folder=files)
    broken(files / "gp" / "SOP10200.csv", 2, "ORDST0007", "")
    with pytest.raises(SampleError):
        company.load(warehouse, folder=files)
    assert warehouse.query("select count(*) > 60 from gp.SOP10100") == [(True,)]


@pytest.mark.parametrize(
    ("table", "line", "old", "new", "message"),
    [
        ("account", 2, "systemuser:erin.johnson", "systemuser:nobody",
         r"account.csv, line 2, column ownerid: systemuser.csv has no row 'nobody'. Add it to systemuser.csv"),
        ("account", 2, "systemuser:erin.johnson", "erin.johnson",
         r"column ownerid: 'erin.johnson' does not name an owner. Write systemuser:<key> or team:<key>"),
        ("account", 3, "ADAMPARK0001", "AARONFIT0001", r"line 3, column key: 'AARONFIT0001' is also on line 2"),
        ("salesorder", 2, "2027-04", "April 2027 ", r"column requestdeliveryby: .* is not an instant"),
        ("salesorderdetail", 2, "true", "yes", r"column ispriceoverridden: 'yes' is not true or false"),
        ("salesorderdetail", 2, "59.95", "dear", r"column priceperunit: 'dear' is not a number such as 1234.50"),
        ("salesorderdetail", 2, ",16384,", ",first,", r"column lineitemnumber: 'first' is not a whole number"),
    ],
)  # fmt: skip
def test_a_broken_organisation_file(files, table, line, old, new, message):
    broken(files / "crm" / f"{table}.csv", line, old, new)
    with pytest.raises(SampleError, match=message):
        organisation.snapshot(folder=files)


def test_a_file_that_is_not_there(files):
    (files / "gp" / "IV00101.csv").unlink()
    with pytest.raises(SampleError, match=r"IV00101.csv: the file is missing. Put it back into .*gp"):
        company.read(files)


def test_a_file_in_another_encoding(tmp_path):
    path = tmp_path / "X.csv"
    path.write_bytes("a\nMünchen\n".encode("cp1252"))
    with pytest.raises(SampleError, match=r"X.csv: byte 3 is not UTF-8. Save the file as UTF-8"):
        list(rows(path))


def test_a_quote_left_open(tmp_path):
    path = tmp_path / "X.csv"
    path.write_text('a,b\n"x"y,1\n')
    with pytest.raises(SampleError, match=r"X.csv, line 2: .*Double the quotes"):
        list(rows(path))


def test_an_empty_file(tmp_path):
    path = tmp_path / "X.csv"
    path.write_text("")
    with pytest.raises(SampleError, match=r"X.csv, line 1: no header. Name the columns"):
        list(rows(path))
