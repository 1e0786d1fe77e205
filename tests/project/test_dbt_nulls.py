"""A copy of GP's tables that holds null where GP holds its defaults is read as GP's."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import duckdb
import pytest

from tests.project.dbt_runs import Dbt

VIEWS = ("crm_salesorder", "crm_salesorderdetail", "audit_order_status", "audit_order_balance", "audit_field_trace")
DEFAULTS = {
    "char": "''",
    "text": "''",
    "tinyint": "0",
    "smallint": "0",
    "int": "0",
    "numeric": "0",
    "datetime": "timestamp '1900-01-01'",
}


def columns(built: Dbt) -> dict[str, dict[str, str]]:
    """The columns of GP's tables that are read, with their types."""
    return {
        source["name"]: {name: column["data_type"] for name, column in source["columns"].items()}
        for source in built.manifest["sources"].values()
    }


@pytest.fixture(scope="module")
def with_nulls(built: Dbt, tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    """The sample company as built, with each of GP's defaults replaced by null."""
    copy = Path(shutil.copy(built.duckdb_path, tmp_path_factory.mktemp("nulls")))
    warehouse = duckdb.connect(str(copy))
    for table, types in columns(built).items():
        warehouse.execute(f"create table gp.copy as select * from gp.{table}; drop table gp.{table}")
        warehouse.execute(f"alter table gp.copy rename to {table}")
        for column, kind in types.items():
            default = DEFAULTS[kind.partition("(")[0]]
            value = f"trim({column})" if "char" in kind else column
            warehouse.execute(f"update gp.{table} set {column} = null where {value} = {default}")
    return warehouse


def rows(warehouse: duckdb.DuckDBPyConnection, view: str) -> Counter[tuple[object, ...]]:
    """The view's rows; of the trace without what it shows of GP, which is null now."""
    select = "* exclude (gp_value)" if view == "audit_field_trace" else "*"
    return Counter(warehouse.execute(f"select {select} from {view}").fetchall())


@pytest.mark.parametrize("view", VIEWS)
def test_null_is_read_as_gps_own_default(
    warehouse: duckdb.DuckDBPyConnection, with_nulls: duckdb.DuckDBPyConnection, view: str
) -> None:
    before, after = rows(warehouse, view), rows(with_nulls, view)
    assert before
    assert after - before == Counter()
    assert before - after == Counter()


def test_a_test_for_each_table_of_gp_names_the_columns_that_hold_nulls(
    built: Dbt, warehouse: duckdb.DuckDBPyConnection, with_nulls: duckdb.DuckDBPyConnection
) -> None:
    tests = {
        name.rpartition("/")[2].removesuffix(".sql"): sql
        for name, sql in built.compiled.items()
        if "/nulls_in_" in name
    }
    for table, types in columns(built).items():
        sql = tests[f"nulls_in_{table}"]
        assert built.nodes("test")[f"nulls_in_{table}"]["config"]["severity"].lower() == "warn"
        assert warehouse.execute(sql).fetchall() == []
        counts = with_nulls.execute(
            f"select {', '.join(f'count(*) - count({column})' for column in types)} from gp.{table}"
        ).fetchall()[0]
        found = [(table, column, count) for column, count in zip(types, counts, strict=True) if count]
        assert sorted(with_nulls.execute(sql).fetchall()) == sorted(found)
    assert tests.keys() == {f"nulls_in_{table}" for table in columns(built)}
