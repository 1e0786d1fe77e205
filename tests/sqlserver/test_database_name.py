"""A database that the profile names in another case than the server does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from loader.context import Context
from loader.profile import read_target
from loader.push.building import dbt_environ, run_dbt
from loader.warehouse.connect import connect
from tests.conftest import PROJECT

pytestmark = pytest.mark.sqlserver


@pytest.fixture
def misspelt(tmp_path: Path) -> dict[str, str]:
    if not os.environ.get("GP_CRM_SQLSERVER_HOST"):
        pytest.skip("GP_CRM_SQLSERVER_HOST is not set")
    name = os.environ["GP_CRM_SQLSERVER_DATABASE"].swapcase()
    return {**os.environ, "GP_CRM_SQLSERVER_DATABASE": name, "DBT_TARGET_PATH": str(tmp_path)}


def test_dbt_stops_before_the_first_model_and_says_how_it_is_spelt(misspelt: dict[str, str]) -> None:
    with Context(PROJECT, target_name="sqlserver", environ=misspelt) as run:
        exit_code, output = run_dbt(["run", "--target", "sqlserver", "--project-dir", str(PROJECT)], dbt_environ(run))
    assert exit_code != 0
    assert f"set GP_CRM_SQLSERVER_DATABASE={os.environ['GP_CRM_SQLSERVER_DATABASE']}" in output
    assert "approximate match" not in output


def test_check_says_so_too(misspelt: dict[str, str]) -> None:
    warehouse = connect(read_target(PROJECT, None, "sqlserver", misspelt))
    (found,) = warehouse.shortcomings()
    warehouse.close()
    assert found[1] == f"Set GP_CRM_SQLSERVER_DATABASE={os.environ['GP_CRM_SQLSERVER_DATABASE']}."
