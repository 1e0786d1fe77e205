"""Staged rows come exact, in order, with their lines, and only those asked for."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loader.warehouse.connect import connect
from loader.warehouse.connection import Warehouse, WarehouseBusy
from loader.warehouse.staged import Moved, StagedRows
from tests.warehouse.warehouse_places import Column, Model, Place, duckdb_target

HEADER = (
    ("name", "varchar(300)"),
    ("totalamount", "decimal(19,5)"),
    ("requestdeliveryby", "instant"),
    ("statecode", "int"),
    ("ratio", "double precision"),
    ("description", "varchar(2000)"),
)
LINE = (("salesorderid", "varchar(300)"), ("lineitemnumber", "int"), ("quantity", "decimal(19,5)"))
ORDERS = 4500


def orders(warehouse: Any, models: tuple[Model, Model], only: list[str] | None = None) -> StagedRows:
    header, line = models
    return StagedRows(
        warehouse, header, ["name"], lines=line, via="salesorderid", lines_by=["lineitemnumber"], only=only
    )


def stage(warehouse: Warehouse, database: str, schema: str) -> tuple[Model, Model]:
    instant = "timestamp" if warehouse.dialect == "duckdb" else "datetime2(3)"
    warehouse.execute(f'create schema "{schema}"')
    models = []
    for table, columns in (("crm_salesorder", HEADER), ("crm_salesorderdetail", LINE)):
        model = Model(
            f'"{database}"."{schema}"."{table}"',
            tuple(Column(name, instant if kind == "instant" else kind) for name, kind in columns),
        )
        warehouse.execute(
            f"create table {model.relation} ({', '.join(f'{c.name} {c.data_type}' for c in model.columns)})"
        )
        models.append(model)
    return models[0], models[1]


def fill(warehouse: Warehouse, model: Model, rows: list[tuple[object, ...]]) -> None:
    warehouse.insert(model.relation, [(column.name, column.data_type) for column in model.columns], rows)


@pytest.fixture
def models(place: Place, warehouse: Warehouse) -> tuple[Model, Model]:
    header, line = stage(warehouse, place.target.database, place.schema)
    rows: list[tuple[object, ...]] = [
        (
            f"ORD{n:05}",
            Decimal(n) + Decimal("0.10000"),
            dt.datetime(2024, 11, 3, 4) if n % 2 else None,
            n % 5,
            0.1,
            f"text {n} ",
        )
        for n in range(ORDERS)
    ]
    fill(warehouse, header, list(reversed(rows)))
    fill(warehouse, line, [(f"ord{n:05}  ", number, Decimal(n)) for number in (2, 1) for n in range(0, ORDERS, 3)])
    return header, line


def test_records_are_exact_in_order_and_have_their_lines(warehouse: Warehouse, models: tuple[Model, Model]) -> None:
    read = orders(warehouse, models)
    records = list(read.records())
    assert [record["name"] for record, _ in records] == [f"ORD{n:05}" for n in range(ORDERS)] == read.keys()
    assert records[1] == (
        {
            "name": "ORD00001",
            "totalamount": Decimal("1.10000"),
            "requestdeliveryby": dt.datetime(2024, 11, 3, 4),
            "statecode": 1,
            "ratio": Decimal("0.1"),
            "description": "text 1 ",
        },
        [],
    )
    assert str(records[1][0]["totalamount"]) == "1.10000"
    assert records[0][0]["requestdeliveryby"] is None
    assert [len(lines) for _, lines in records[:6]] == [2, 0, 0, 2, 0, 0]
    assert [(line["lineitemnumber"], line["quantity"]) for line in records[4497][1]] == [(1, 4497), (2, 4497)]
    read.close()


def test_keys_match_in_any_case_and_with_trailing_blanks(warehouse: Warehouse, models: tuple[Model, Model]) -> None:
    read = orders(warehouse, models, ["ord00007 ", "ORD00007", "ORD00003", "NOWHERE"])
    assert read.keys() == ["ORD00003", "ORD00007"]
    assert [len(lines) for _, lines in read.records()] == [2, 0]
    assert orders(warehouse, models, []).keys() == []


@pytest.mark.parametrize("collation", ["", "Latin1_General_BIN2", "Latin1_General_CS_AS"])
def test_gps_own_key_finds_records_in_either_form(warehouse: Warehouse, place: Place, collation: str) -> None:
    """As GP has it, or folded, as names with a company's prefix are; in GP's collation, whatever the project's."""
    columns = {"name": "varchar(300)", "name__gp": "char(42)"}
    warehouse.execute(f'create schema "{place.schema}"')
    model = Model(
        f'"{place.target.database}"."{place.schema}"."ended"', tuple(Column(*column) for column in columns.items())
    )
    own = f" collate {collation}" if collation and warehouse.dialect != "duckdb" else ""
    warehouse.execute(f"create table {model.relation} (name varchar(300), name__gp char(42){own})")
    fill(warehouse, model, [("ORD1", "ORD1"), ("C-ORD1", "c-ord1"), ("ORD2", "ORD2"), ("C-ORD2", "c-ord2")])
    read = StagedRows(warehouse, model, ["name"], only=["C-ORD1", "ORD2", "ORD3"], sought_by="name__gp")
    assert read.keys() == ["C-ORD1", "ORD2"]


def test_gps_own_key_finds_records_whose_key_has_the_prefix_of_a_company(warehouse: Warehouse, place: Place) -> None:
    warehouse.execute(f'create schema "{place.schema}"')
    relation = f'"{place.target.database}"."{place.schema}"."ended"'
    model = Model(relation, (Column("name", "varchar(300)"), Column("name__gp", "char(21)")))
    warehouse.execute(f"create table {relation} (name varchar(300), name__gp char(21))")
    fill(warehouse, model, [("ORD1", "ORD1"), ("C-ORD1", "ORD1"), ("ORD2", "ORD2"), ("C-ORD2", "ORD2")])
    wanted = ["c-ORD1", "ORD2", "ORD3"]
    read = StagedRows(warehouse, model, ["name"], only=wanted, sought_by="name__gp", prefixes=["C-", "D-"])
    assert read.keys() == ["C-ORD1", "ORD2"], "the bare number finds those of other companies, too, which are left out"


def test_any_number_of_records_can_be_asked_for(warehouse: Warehouse, models: tuple[Model, Model]) -> None:
    read = orders(warehouse, models, [f"ORD{n:05}" for n in range(0, 2 * ORDERS, 2)])
    assert len(read.keys()) == ORDERS / 2
    assert sum(len(lines) for _, lines in read.records()) == ORDERS / 3


def test_what_was_staged_stays_as_it_was_read(warehouse: Warehouse, models: tuple[Model, Model]) -> None:
    read = orders(warehouse, models)
    warehouse.execute(f"delete from {models[0].relation}")
    assert len(list(read.records())) == ORDERS
    assert orders(warehouse, models).keys() == []


def test_different_values_are_read_together(warehouse: Warehouse, models: tuple[Model, Model]) -> None:
    read = orders(warehouse, models, ["ORD00003", "ORD00005", "ORD00008"])
    header, line = models
    assert sorted(read.distinct(header, ["statecode", "requestdeliveryby"], "requestdeliveryby"), key=str) == [
        (0, dt.datetime(2024, 11, 3, 4)),
        (3, dt.datetime(2024, 11, 3, 4)),
    ]
    assert sorted(read.distinct(line, ["lineitemnumber"], "salesorderid")) == [(1,), (2,)]


def test_a_record_without_a_key_and_a_repeated_one_are_there(warehouse: Warehouse, models: tuple[Model, Model]) -> None:
    header, _ = models
    warehouse.execute(f"delete from {header.relation} where name > 'ORD00003'")
    fill(warehouse, header, [(None, None, None, 1, None, None), ("ord00003", None, None, 1, None, None)])
    read = orders(warehouse, models)
    assert read.keys().count(None) == 1
    assert list(map(str.lower, filter(None, read.keys()))).count("ord00003") == 2
    assert [len(lines) for record, lines in read.records() if record["name"] == "ORD00003"] == [2]


def test_a_records_digest_changes_with_any_value_of_its_own_or_of_a_line(
    warehouse: Warehouse, models: tuple[Model, Model]
) -> None:
    header, line = models
    warehouse.execute(f"delete from {header.relation} where name > 'ORD00009'")
    first = digests(warehouse, models)
    assert len(set(first.values())) == len(first) == 10
    assert digests(warehouse, models) == first, "another reading of the same rows"
    fill(warehouse, line, [("ORD00001", 1, None), ("ORD00001", 2, Decimal(1))])
    warehouse.execute(f"delete from {line.relation} where lower(salesorderid) like 'ord00000%' and lineitemnumber = 2")
    edits = {
        "ORD00002": "totalamount = totalamount + 0.00001",
        "ORD00003": "requestdeliveryby = null",
        "ORD00004": "statecode = statecode + 1",
        "ORD00005": "ratio = 0.10000000000000002",
        "ORD00006": "description = 'text 6  '",
        "ORD00007": "description = 'text 7 \u00e9\U0001f600'",
        "ORD00008": "description = null",
    }
    for name, edit in edits.items():
        assert warehouse.execute(f"update {header.relation} set {edit} where name = '{name}'") == 1
    then = digests(warehouse, models)
    assert sorted(key for key in first if then[key] != first[key]) == ["ORD00000", "ORD00001", *edits]
    assert len(set(then.values())) == len(then)
    warehouse.execute(f"update {line.relation} set quantity = 0 where salesorderid = 'ORD00001' and lineitemnumber = 1")
    assert digests(warehouse, models)["ORD00001"] != then["ORD00001"], "nothing is not zero"


def test_values_that_move_into_the_next_column_are_others(place: Place, warehouse: Warehouse) -> None:
    warehouse.execute(f'create schema "{place.schema}"')
    columns = (Column("name", "varchar(20)"), Column("left", "varchar(20)"), Column("right", "varchar(20)"))
    model = Model(f'"{place.target.database}"."{place.schema}"."pairs"', columns)
    warehouse.execute(f'create table {model.relation} ("name" varchar(20), "left" varchar(20), "right" varchar(20))')
    values = [("ab", "c"), ("a", "bc"), ("abc", ""), ("", "abc"), ("abc", None), (None, "abc"), ("a-", "3:b")]
    fill(warehouse, model, [(str(number), *pair) for number, pair in enumerate(values)])
    found = [digest for _, _, digest in StagedRows(warehouse, model, ["name"]).digested()]
    assert len(set(found)) == len(values)


def digests(warehouse: Warehouse, models: tuple[Model, Model]) -> dict[str, str]:
    read = orders(warehouse, models)
    found = {str(record["name"]): digest for record, _, digest in read.digested()}
    read.close()
    return found


NAMES = st.lists(st.sampled_from("abcdefgh"), unique=True)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Warehouse, tuple[Model, Model]]]:
    warehouse = connect(duckdb_target(tmp_path_factory.mktemp("tiny")), create=True)
    yield warehouse, stage(warehouse, "warehouse", "tiny")
    warehouse.close()


@settings(deadline=None)
@given(lines=NAMES, headers=NAMES, lines_later=NAMES, headers_later=NAMES)
def test_no_record_seems_to_have_lost_its_lines_whatever_came_and_went(
    tiny: tuple[Warehouse, tuple[Model, Model]],
    lines: list[str],
    headers: list[str],
    lines_later: list[str],
    headers_later: list[str],
) -> None:
    """GP is read four times at most: lines, headers, and the lines and headers of records without lines."""
    warehouse, models = tiny
    read = orders(_Moving(warehouse, models, [lines, headers, lines_later, headers_later]), models)
    found = {str(record["name"]): len(own) for record, own in read.records()}
    read.close()
    bare = {name for name in headers if name not in lines}
    moved = {name for name in bare if name in lines_later or name not in headers_later}
    assert found == {name: 1 if name in lines else 0 for name in headers if name not in moved}


class _Moving:
    """A warehouse whose tables hold other rows each time one of them is read."""

    def __init__(self, inner: Warehouse, models: tuple[Model, Model], states: list[list[str]]) -> None:
        self._inner, self._models, self._states = inner, models, list(states)

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def side(self) -> _Moving:
        return _Moving(self._inner.side(), self._models, self._states)

    def query(self, sql: str, params: tuple[object, ...] = ()) -> object:
        self._move(sql)
        return self._inner.query(sql, params)

    def keep(self, name: str, select: str, sorted_by: str | None = None) -> str:
        self._move(select)
        return self._inner.keep(name, select, sorted_by)

    def _move(self, sql: str) -> None:
        for model in self._models:
            if self._states and f" from {model.relation}" in sql:
                self._inner.execute(f"delete from {model.relation}")
                columns = [(column.name, column.data_type) for column in model.columns]
                self._inner.insert(model.relation, columns[:1], [(name,) for name in self._states.pop(0)])


def test_a_view_that_stays_blocked_is_named(tiny: tuple[Warehouse, tuple[Model, Model]]) -> None:
    warehouse, models = tiny

    class Contended(_Moving):
        def side(self) -> Contended:
            return self

        def keep(self, name: str, select: str, sorted_by: str | None = None) -> str:
            raise WarehouseBusy("Lock request time out period exceeded.")

    inner = warehouse.side()
    with pytest.raises(WarehouseBusy, match='crm_salesorderdetail" could not be read: Lock request'):
        orders(Contended(inner, models, []), models)


def test_records_are_due_whose_digest_is_new_or_that_may_have_moved(
    place: Place, warehouse: Warehouse, models: tuple[Model, Model]
) -> None:
    header, line = models
    read = orders(warehouse, models)
    known = f'"{place.target.database}"."{place.schema}"."known"'
    columns = [("match_key", "varchar(300)"), ("crm_id", "varchar(36)"), ("digest", "varchar(100)")]
    columns.append(("line_ids", "varchar(8000)"))
    warehouse.execute(f"create table {known} ({', '.join(' '.join(column) for column in columns)})")
    rows: list[tuple[object, ...]] = [
        (str(record["name"]).lower(), f"ID-{record['name']}", digest, f"a{number},b{number}")
        for number, (record, _, digest) in enumerate(read.digested())
    ]
    rows[1] = (*rows[1][:2], "another", None)
    rows[2] = (*rows[2][:2], None, None)
    del rows[4]
    warehouse.insert(known, columns, rows)
    warehouse.execute(f"update {header.relation} set statecode = 77 where name = 'ORD04444'")  # read before
    moved = Moved(
        keys={"ord00010", "nowhere"},
        ids={"id-ord00011", "elsewhere"},
        line_ids={"b12", "b99999"},
        naming=[(header, "description", {"text 13"}), (line, "lineitemnumber", {"7"})],
    )
    waiting = f"select match_key from {known} where match_key = 'ord00009'"
    due = read.narrow(f"select match_key, crm_id, digest, line_ids from {known}", waiting, moved)
    numbers = (1, 2, 4, 9, 10, 11, 12, 13)
    assert due == [f"ORD{number:05}" for number in numbers] == [str(row["name"]) for row, _ in read.records()]
    assert [len(lines) for _, lines in read.records()] == [2 * (number % 3 == 0) for number in numbers]
    assert len(read.keys()) == ORDERS
    assert len(read.distinct(header, ["name"], "name")) == len(due)
    assert len(read.distinct(header, ["name"], "name", due=False)) == ORDERS
    again = orders(warehouse, models)
    assert again.narrow(f"select match_key, crm_id, digest, line_ids from {known}", waiting, Moved()) == [
        *(f"ORD{number:05}" for number in (1, 2, 4, 9)),
        "ORD04444",
    ]


def test_records_that_are_not_due_are_told_by_what_was_said_of_them(
    warehouse: Warehouse, models: tuple[Model, Model], place: Place
) -> None:
    read = orders(warehouse, models)
    known = f'"{place.target.database}"."{place.schema}"."known"'
    names = ("match_key", "crm_id", "digest", "line_ids", "outcome", "reason", "message", "warnings")
    columns = [(name, "varchar(300)") for name in names]
    warehouse.execute(f"create table {known} ({', '.join(' '.join(column) for column in columns)})")
    rows: list[tuple[object, ...]] = [
        (str(record["name"]).lower(), f"ID-{number}", digest, "", None, None, None, None)
        for number, (record, _, digest) in enumerate(read.digested())
    ]
    rows[1] = (*rows[1][:4], "unchanged", None, None, "a,b")
    rows[2] = (*rows[2][:4], "unchanged", None, None, "a,b")
    rows[3] = (rows[3][0], None, *rows[3][2:4], "skipped", "inactive", "CRM does not have it", None)
    rows[4] = (*rows[4][:4], "skipped", "closed_in_crm", "closed", None)
    rows[5] = (*rows[5][:2], "another", "", "skipped", "inactive", "", None)
    rows += [("gone", "ID", "x", "", None, None, None, None), ("left", None, None, None, "created", None, None, "a")]
    rows += [("never compared", "ID", None, None, None, None, None, None)]
    warehouse.insert(known, columns, rows)
    select = f"select {', '.join(names)} from {known}"
    assert sorted(read.gone(select)) == ["gone", "left"]
    assert read.narrow(select, f"select match_key from {known} where 1 = 0", Moved()) == ["ORD00005"]
    assert sorted(read.noted()) == [
        ("skipped", "closed_in_crm", "", 1),
        ("skipped", "inactive", "", 1),
        ("unchanged", "", "a,b", 2),
    ]
    ((record, lines, reason, message),) = read.absent()
    assert (record["name"], len(lines), reason, message) == ("ORD00003", 2, "inactive", "CRM does not have it")
    assert [row["name"] for row, _ in read.records()] == ["ORD00005"]
