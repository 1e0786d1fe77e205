from __future__ import annotations

from decimal import Decimal

import pytest

from sample import company
from sample.reading import SampleError

OPEN = """
    SOPTYPE = 2 and VOIDSTTS = 0 and trim(CUSTNMBR) <> ''
    and not exists (select 1 from gp.SOP30200 x where x.SOPTYPE = 2 and x.SOPNUMBE = h.SOPNUMBE)
    and (
        not exists (select 1 from gp.SOP10200 l where l.SOPTYPE = 2 and l.SOPNUMBE = h.SOPNUMBE and l.CMPNTSEQ = 0)
        or exists (
            select 1 from gp.SOP10200 l
            where l.SOPTYPE = 2 and l.SOPNUMBE = h.SOPNUMBE and l.CMPNTSEQ = 0
            and l.QUANTITY - l.QTYCANCE - l.QTYPRINV - l.QTYPRORD - l.QTYPRBAC <> 0
        )
    )
"""


def test_the_structure_is_gps():
    tables = company.schema_of()
    assert {name: len(table.columns) for name, table in tables.items()} == {
        "SOP10100": 191,
        "SOP10200": 132,
        "SOP30200": 183,
        "SOP30300": 121,
        "RM00101": 103,
        "RM00102": 33,
        "IV00101": 89,
        "IV40201": 7,
        "IV40202": 9,
        "SY01200": 18,
        "RM20101": 73,
        "RM30101": 69,
    }
    assert tables["SOP10100"].key == ["SOPNUMBE", "SOPTYPE"]
    assert tables["SOP10200"].key == ["SOPNUMBE", "SOPTYPE", "CMPNTSEQ", "LNITMSEQ"]
    assert tables["RM00102"].key == ["CUSTNMBR", "ADRSCODE"]
    assert tables["IV40202"].key == ["UOMSCHDL", "SEQNUMBR"]
    assert tables["RM20101"].key == tables["RM30101"].key == ["CUSTNMBR", "RMDTYPAL", "DOCNUMBR"]
    assert not any("TRANSFERRED" in table.by_name for table in tables.values())


def test_every_twin_has_its_column():
    for table in company.schema_of().values():
        assert all(column.twin_of in table.by_name for column in table.columns if column.twin_of)


def test_the_tables_have_gps_types_and_keys_in_duckdb(loaded):
    types = dict(
        loaded.query(
            "select column_name, data_type from information_schema.columns"
            " where table_schema = 'gp' and table_name = 'SOP10100'"
        )
    )
    assert len(types) == 191
    assert types["SOPNUMBE"] == "VARCHAR"
    assert types["DOCAMNT"] == "DECIMAL(19,5)"
    assert types["SOPTYPE"] == "SMALLINT"
    assert types["DOCDATE"] == "TIMESTAMP"
    assert loaded.query(
        "select constraint_column_names from duckdb_constraints()"
        " where table_name = 'SOP10100' and constraint_type = 'PRIMARY KEY'"
    ) == [(["SOPNUMBE", "SOPTYPE"],)]


def test_nothing_is_null_and_text_fills_its_column(loaded):
    for table in company.schema_of().values():
        checks = [f"count(*) filter ({c.name} is null)" for c in table.columns]
        checks += [f"count(*) filter (length({c.name}) <> {c.size})" for c in table.columns if c.base == "char"]
        counts = loaded.query(f"select {', '.join(checks)} from gp.{table.name}")[0]
        assert not any(counts), table.name


def test_columns_that_nobody_filled_hold_gps_defaults(loaded):
    assert loaded.query("select distinct QUOTEDAT, COMAPPTO, COMMAMNT, TRXSORCE, SOPHDRE1 from gp.SOP10100") == [
        (company.NO_DATE, 0, Decimal(0), " " * 13, bytes(4))
    ]


def test_there_are_at_least_sixty_open_orders(loaded):
    assert loaded.query(f"select count(*) from gp.SOP10100 h where {OPEN}")[0][0] >= 60


@pytest.mark.parametrize("table", ["SOP10200", "SOP30300"])
def test_lines_add_up(loaded, table):
    assert (
        loaded.query(
            f"""
            select rtrim(SOPNUMBE), LNITMSEQ from gp.{table}
            where CMPNTSEQ = 0 and (
                abs(XTNDPRCE - (UNITPRCE - MRKDNAMT) * QUANTITY) > case DECPLCUR when 6 then 0.000005 else 0.005 end
                or QTYREMAI <> QUANTITY - QTYCANCE - QTYPRINV - QTYPRORD - QTYPRBAC
                or QTYTOINV <> QTYREMAI - QTYTBAOR
            )
            """
        )
        == []
    )


@pytest.mark.parametrize(("headers", "lines"), [("SOP10100", "SOP10200"), ("SOP30200", "SOP30300")])
def test_headers_add_up(loaded, headers, lines):
    wrong = loaded.query(
        f"""
        select rtrim(h.SOPNUMBE), h.SOPTYPE from gp.{headers} h
        left join (
            select
                SOPNUMBE, SOPTYPE, sum(XTNDPRCE) as extended, sum(TAXAMNT) as tax,
                sum(MRKDNAMT * QUANTITY) as markdown, sum(REMPRICE) as remaining
            from gp.{lines} group by SOPNUMBE, SOPTYPE
        ) l on h.SOPNUMBE = l.SOPNUMBE and h.SOPTYPE = l.SOPTYPE
        where trim(h.CUSTNMBR) <> '' and (
            h.SUBTOTAL <> coalesce(extended, 0)
            or h.MRKDNAMT <> coalesce(markdown, 0)
            or h.REMSUBTO <> coalesce(remaining, 0)
            or h.DOCAMNT <> h.SUBTOTAL - h.TRDISAMT + h.FRTAMNT + h.MISCAMNT + h.TAXAMNT
            or (h.TAXAMNT <> coalesce(tax, 0) and trim(h.SOPNUMBE) <> '99999')
        )
        """
    )
    assert wrong == []


def test_originating_amounts_equal_the_functional_ones_except_in_another_currency(loaded):
    for name in ("SOP10100", "SOP10200", "SOP30200", "SOP30300"):
        twins = [c for c in company.schema_of()[name].columns if c.twin_of]
        assert twins
        differ = " or ".join(f"{c.name} <> {c.twin_of}" for c in twins)
        numbers = {row[0] for row in loaded.query(f"select rtrim(SOPNUMBE) from gp.{name} where {differ}")}
        assert numbers <= {"ORDST2348"}


def test_dates_are_midnight(loaded):
    assert loaded.query("select count(*) from gp.SOP10100 where ReqShipDate <> date_trunc('day', ReqShipDate)") == [
        (0,)
    ]


def test_loading_again_replaces_what_is_there(warehouse):
    company.load(warehouse)
    warehouse.execute("delete from gp.SOP10200")
    counts = company.load(warehouse)
    assert warehouse.query("select count(*) from gp.SOP10200") == [(counts["SOP10200"],)]


def test_tables_go_into_the_schema_asked_for(warehouse):
    company.load(warehouse, schema='two "x"')
    assert warehouse.query('select count(*) > 60 from "two ""x""".SOP10100') == [(True,)]


def totals(warehouse, number):
    return warehouse.query(
        "select SUBTOTAL, TAXAMNT, DOCAMNT, REMSUBTO, ORDOCAMT from gp.SOP10100"
        " where SOPTYPE = 2 and rtrim(SOPNUMBE) = ?",
        (number,),
    )[0]


def test_an_edit_raises_the_first_line_and_the_totals(warehouse):
    company.load(warehouse)
    subtotal, tax, total, _, _ = totals(warehouse, "ORDST2225")
    edit = company.edit_order(warehouse, "ORDST2225", 2)
    assert edit == company.Edit("ORDST2225", 16384, "100XLG", Decimal(4), Decimal(6))
    priced, taxed = Decimal("119.90"), Decimal("8.40")  # 2 × 59.95; 7 % of 6 × 59.95 instead of 4 × 59.95
    assert totals(warehouse, "ORDST2225") == (
        *(subtotal + priced, tax + taxed, total + priced + taxed),
        *(subtotal + priced, total + priced + taxed),
    )
    test_lines_add_up(warehouse, "SOP10200")
    test_headers_add_up(warehouse, "SOP10100", "SOP10200")


def test_an_edit_keeps_the_markdown_and_the_currency(warehouse):
    company.load(warehouse)
    company.edit_order(warehouse, "ORDST2246")
    company.edit_order(warehouse, "ORDST2348")
    test_lines_add_up(warehouse, "SOP10200")
    test_headers_add_up(warehouse, "SOP10100", "SOP10200")
    assert totals(warehouse, "ORDST2348")[4] == Decimal("533.66") + Decimal("49.88") + Decimal("3.49")


@pytest.mark.parametrize(("number", "problem"), [("NO-SUCH-ORDER", "no such order"), ("ORDST2259", "no lines")])
def test_an_edit_of_nothing_says_so(warehouse, number, problem):
    company.load(warehouse)
    with pytest.raises(SampleError, match=problem):
        company.edit_order(warehouse, number)


def test_a_transfer_moves_the_order_to_history(warehouse):
    company.load(warehouse)
    lines = warehouse.query("select count(*) from gp.SOP10200 where rtrim(SOPNUMBE) = 'ORDST2225'")
    company.transfer_order(warehouse, "ORDST2225")
    assert warehouse.query("select count(*) from gp.SOP10100 where rtrim(SOPNUMBE) = 'ORDST2225'") == [(0,)]
    assert warehouse.query("select SOPSTATUS from gp.SOP30200 where rtrim(SOPNUMBE) = 'ORDST2225'") == [(9,)]
    assert warehouse.query("select count(*) from gp.SOP30300 where rtrim(SOPNUMBE) = 'ORDST2225'") == lines


def test_sql_server_gets_gps_own_types_and_no_more_parameters_than_it_takes(server):
    company.load(server, database="TWO", schema="dbo")
    assert server.sent[0][0] == (
        "exec [TWO].sys.sp_executesql N'if schema_id(N''dbo'') is null exec(N''create schema [dbo]'')'"
    )
    (ddl,) = [sql for sql, _ in server.sent if sql.startswith('create table "TWO"."dbo"."SOP10100"')]
    assert "SOPNUMBE char(21) collate SQL_Latin1_General_CP1_CI_AS default '' not null" in ddl
    assert "DOCAMNT numeric(19,5) default 0 not null" in ddl
    assert "ReqShipDate datetime default '19000101' not null" in ddl
    assert "DEX_ROW_ID int identity(1, 1) not null" in ddl
    assert "primary key nonclustered (SOPNUMBE, SOPTYPE)" in ddl
    assert all(len(params) <= 2_100 for _, params in server.sent)
    assert not any("DEX_ROW_ID" in sql for sql, params in server.sent if params)
