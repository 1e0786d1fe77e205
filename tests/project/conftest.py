"""The dbt project, compiled for SQL Server without a server, and built on DuckDB with the sample company."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import duckdb
import pytest
import yaml

from sample import story
from tests.conftest import Built
from tests.project.dbt_runs import ON_DUCKDB, ORDERS, PROJECT, Dbt

RUNS_OF_DBT = {
    "everything": "everything",
    "everything_on_sqlserver": "everything",
    "built": "as it comes",
    "on_sqlserver": "as it comes",
    "two_companies": "two companies",
}
"""The fixtures that run dbt, and how the project is set there."""


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share a run of dbt share a worker: the run is what takes long."""
    for item in items:
        used = [group for fixture, group in RUNS_OF_DBT.items() if fixture in getattr(item, "fixturenames", ())]
        if used and item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.xdist_group(used[0]))


@pytest.fixture(scope="session")
def on_sqlserver(bare_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Dbt:
    """The project without its unit tests, compiled for SQL Server."""
    return Dbt(tmp_path_factory.mktemp("sqlserver"), bare_project).compile_for("sqlserver")


@pytest.fixture(scope="session")
def everything_on_sqlserver(bare_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Dbt:
    """The project compiled for SQL Server with every integration switched on."""
    dbt = Dbt(tmp_path_factory.mktemp("everything_on_sqlserver"), bare_project)
    return dbt.compile_for("sqlserver", "--vars", json.dumps(story.VARS))


@pytest.fixture(scope="session")
def one_macro(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that asks for the companies and does nothing else: dbt reads it at once."""
    folder = tmp_path_factory.mktemp("one_macro")
    shutil.copy(PROJECT / "profiles.yml", folder)
    for part in ("macros", "models"):
        (folder / part).mkdir()
    for macro in ("gp_companies", "refuse_companies"):
        shutil.copy(PROJECT / "macros" / "gp" / f"{macro}.sql", folder / "macros")
    (folder / "models" / "companies.sql").write_text("{% do gp_companies() %} select 1 as one", encoding="utf-8")
    settings = {"name": "gp_to_crm", "profile": "gp_to_crm", "vars": {"gp_database": "", "gp_schema": ""}}
    (folder / "dbt_project.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def built(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Dbt:
    """The project built on DuckDB with the sample company, and tested: unit tests and all."""
    dbt = built.dbt.copy_to(tmp_path_factory.mktemp("tested"))
    shutil.copy(built.as_tables.path, dbt.duckdb_path)
    return dbt.succeed("test", *ON_DUCKDB)


@pytest.fixture(scope="session")
def everything(built_whole: Built, tmp_path_factory: pytest.TempPathFactory) -> Dbt:
    """The same with every integration switched on, without the orders' unit tests, which `built` runs."""
    dbt = built_whole.dbt.copy_to(tmp_path_factory.mktemp("tested_whole"))
    shutil.copy(built_whole.as_tables.path, dbt.duckdb_path)
    orders = [f"resource_type:unit_test,path:{path}" for path in ORDERS]
    return dbt.succeed("test", *ON_DUCKDB, "--vars", json.dumps(story.VARS), "--exclude", *orders)


@pytest.fixture
def warehouse(built: Dbt) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(str(built.duckdb_path), read_only=True)
