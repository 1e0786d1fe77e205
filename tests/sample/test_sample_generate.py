from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import pytest

from sample import company, generate, organisation


def stored(warehouse, table):
    query = warehouse.connection.execute(
        f"select * exclude (DEX_ROW_TS, DEX_ROW_ID) from gp.{table} order by DEX_ROW_ID"
    )
    names = [column[0] for column in query.description]
    return [dict(zip(names, row, strict=True)) for row in query.fetchall()]


def as_stored(table, cells):
    columns = [c for c in company.schema_of()[table].columns if c.name not in ("DEX_ROW_TS", "DEX_ROW_ID")]
    row = {c.name: cells.get(c.name, c.default) for c in columns}
    return {c.name: row[c.name].ljust(c.size) if c.base == "char" else row[c.name] for c in columns}


@pytest.mark.parametrize(("n", "lines", "seed"), [(120, 5, 1), (7, 1, 99), (3, 0, 0)])
def test_sql_and_python_generate_the_same_rows(warehouse, n, lines, seed):
    counts = generate.load(warehouse, n, lines, seed)
    assert (counts["SOP10100"], counts["SOP10200"]) == (n, n * lines)
    orders = list(generate.orders(n, lines, seed))
    assert stored(warehouse, "SOP10100") == [as_stored("SOP10100", order.header) for order in orders]
    assert stored(warehouse, "SOP10200") == [as_stored("SOP10200", line) for order in orders for line in order.lines]


def test_another_seed_gives_other_orders():
    assert list(generate.orders(5)) == list(generate.orders(5))
    assert list(generate.orders(5)) != list(generate.orders(5, seed=2))


def test_everything_an_order_refers_to_is_in_crm(warehouse):
    generate.load(warehouse, 200)
    tables = generate.snapshot(200)["tables"]
    known = {
        "CUSTNMBR": {row["accountnumber"] for row in tables["account"]},
        "PRCLEVEL": {row["name"] for row in tables["pricelevel"]},
        "SALSTERR": {
            row["new_gpsalespersonid"].strip().upper() for row in tables["systemuser"] if "new_gpsalespersonid" in row
        },
    }
    for column, values in known.items():
        assert {v.rstrip() for (v,) in warehouse.query(f"select {column} from gp.SOP10100")} <= values
    items = warehouse.query("select distinct rtrim(ITEMNMBR) from gp.SOP10200 where NONINVEN = 0")
    assert {item for (item,) in items} <= {row["productnumber"] for row in tables["product"]}
    schedule = organisation.reference("uomschedule", "EACH")
    units = {row["name"] for row in tables["uom"] if row["uomscheduleid"] == schedule}
    assert "Each" in units


def test_history_is_done_orders_and_invoices_in_the_columns_that_are_read(warehouse):
    generate.load(warehouse, 20)
    columns = {
        name: [column.name for column in company.schema_of()[name].columns if column.name != "DEX_ROW_TS"]
        for name in ("SOP30200", "SOP30300")
    }
    generate.history(warehouse, 50, 20, columns)
    for name in columns:
        kinds = warehouse.query(f"select SOPTYPE, count(*) from gp.{name} group by all order by all")
        assert kinds == [(2, 25), (3, 25)]
        described = warehouse.query(f"select column_name from (describe gp.{name})")
        assert [column for (column,) in described] == columns[name]
    assert warehouse.query("select length(SOPNUMBE), INVODATE from gp.SOP30200 limit 1") == [(21, datetime(1900, 1, 1))]
    numbers = "select SOPNUMBE from gp.SOP30200 intersect select SOPNUMBE from gp.SOP10100"
    assert warehouse.query(numbers) == []


def test_an_edit_changes_one_order_in_so_many(warehouse):
    generate.load(warehouse, 200)
    before = stored(warehouse, "SOP10100")
    generate.edit(warehouse, every=50)
    after = stored(warehouse, "SOP10100")
    changed = [new["MSTRNUMB"] for old, new in zip(before, after, strict=True) if old != new]
    assert changed == [50, 100, 150, 200]
    assert warehouse.query("select count(*) from gp.SOP10100 where DOCAMNT <> SUBTOTAL + FRTAMNT + TAXAMNT") == [(0,)]
    assert warehouse.query("select count(*) from gp.SOP10200 where XTNDPRCE <> UNITPRCE * QUANTITY") == [(0,)]


@pytest.mark.parametrize("arguments", [(0,), (10**8,), (1, -1), (1, 1_001), (1, 5, -1)])
def test_a_volume_out_of_range_says_what_is_allowed(arguments):
    with pytest.raises(ValueError, match=r"(generate between|use 0 to)"):
        generate.orders(*arguments)


def test_sql_server_gets_all_rows_in_batches(server):
    generate.load(server, 2_500, lines=2)
    assert {table: len(rows) for table, rows in server.many.items()} == {"SOP10100": 2_500, "SOP10200": 5_000}
    kinds = {type(value) for rows in server.many.values() for value in rows[0]}
    assert kinds == {str, int, Decimal, datetime}
