"""GP databases of another collation than this project's, and several of them."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from loader.context import Context
from loader.profile import read_target
from loader.push.building import dbt_environ, run_dbt
from loader.warehouse.connect import connect
from sample import company
from tests.conftest import PROJECT
from tests.sqlserver.test_parity import models, rows

pytestmark = pytest.mark.sqlserver

VIEWS = ("crm_salesorder", "crm_salesorderdetail", "audit_order_status", "audit_field_trace", "audit_order_balance")

Rows = dict[str, list[tuple[object, ...]]]


def gp_tables(schema: str, collation: str = company.GP_COLLATION) -> None:
    """The sample company once more, in a schema that stands for another database."""
    warehouse = connect(read_target(PROJECT, None, "sqlserver", os.environ))
    company.load(warehouse, schema=schema, collation=collation)
    warehouse.close()


def staged(folder: Path, schema: str, settings: dict[str, object]) -> Rows:
    """The rows of the views, built in `schema` with dbt's vars as in `settings`."""
    environ = {**os.environ, "DBT_TARGET_PATH": str(folder), "GP_CRM_SQLSERVER_SCHEMA": schema}
    with Context(PROJECT, target_name="sqlserver", environ=environ) as run:
        dbt = ["--target", "sqlserver", "--project-dir", str(PROJECT), "--vars", json.dumps(settings)]
        command = ["build", "--exclude-resource-type", "unit_test", "--select", *(f"+{view}" for view in VIEWS), *dbt]
        exit_code, output = run_dbt(command, dbt_environ(run))
        assert exit_code == 0, output
        return rows_of(run, folder, VIEWS)


def rows_of(run: Context, target_path: Path, names: Sequence[str]) -> Rows:
    described = models(target_path)
    return {name: rows(run.warehouse, *described[name]) for name in names}


@pytest.fixture(scope="module")
def plain(sqlserver_target: Path) -> Rows:
    environ = {**os.environ, "DBT_TARGET_PATH": str(sqlserver_target)}
    with Context(PROJECT, target_name="sqlserver", environ=environ) as run:
        return rows_of(run, sqlserver_target, ("crm_salesorder", "crm_salesorderdetail"))


@pytest.mark.parametrize("collation", ["Latin1_General_CS_AS", "Latin1_General_BIN2"])
def test_a_gp_database_of_another_collation_stages_the_same_rows(plain: Rows, tmp_path: Path, collation: str) -> None:
    gp_tables("gp_collated", collation)
    there = staged(tmp_path, "collated", {"gp_schema": "gp_collated"})
    for name, expected in plain.items():
        assert there[name] == expected, name


def test_two_companies_with_the_same_numbers_stay_apart(plain: Rows, tmp_path: Path) -> None:
    gp_tables("gp_contoso")
    companies = [{"name": "Fabrikam"}, {"name": "Contoso", "schema": "gp_contoso", "prefix": "C-"}]
    there = staged(tmp_path, "companies", {"gp_companies": companies})
    for name, expected in plain.items():
        names = [str(row[0]) for row in there[name]]
        assert sorted(names) == sorted(f"{prefix}{row[0]}" for row in expected for prefix in ("", "C-"))
        assert [row for row in there[name] if not str(row[0]).startswith("C-")] == expected, name
