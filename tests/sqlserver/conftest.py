"""The sample company on SQL Server: everything here runs where GP_CRM_SQLSERVER_HOST is set.

The database named by GP_CRM_SQLSERVER_DATABASE is the tests' own: GP's tables are made in it anew, beside dbt's views.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from emulator import Emulator
from loader.context import Context
from loader.contract import JOURNAL_TABLES
from loader.profile import read_target
from loader.push.building import build
from loader.warehouse.connect import connect
from sample import company, organisation, story
from tests.conftest import PROJECT, Built, Workbench, open_bench

WHOLE = {"GP_CRM_SQLSERVER_SCHEMA": "whole"}
"""Where the views are while the integrations around the order are on: beside the others, over the same tables of GP."""
BUILD_SECONDS = 1800
"""dbt asks a server for each view's columns and comments, one view after the other."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(BUILD_SECONDS))


@pytest.fixture(scope="session")
def sqlserver_target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """dbt's artifacts of the sample company, staged on SQL Server."""
    if not os.environ.get("GP_CRM_SQLSERVER_HOST"):
        pytest.skip("GP_CRM_SQLSERVER_HOST is not set")
    warehouse = connect(read_target(PROJECT, None, "sqlserver", os.environ))
    company.load(warehouse, schema="dbo")
    warehouse.close()
    return _build(tmp_path_factory.mktemp("sqlserver"))


@pytest.fixture(scope="session")
def sqlserver_whole_target(sqlserver_target: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with the integrations around the order switched on."""
    return _build(tmp_path_factory.mktemp("sqlserver_whole"), story.VARS, WHOLE)


def _build(target_path: Path, variables: Mapping[str, object] | None = None, environ: Mapping[str, str] = {}) -> Path:
    environ = {**os.environ, **environ, "DBT_TARGET_PATH": str(target_path)}
    with Context(PROJECT, target_name="sqlserver", environ=environ) as run:
        build(run, print, variables)
    return target_path


@pytest.fixture
def sqlserver_bench(sqlserver_target: Path, tmp_path: Path) -> Iterator[Workbench]:
    """A journal that has never seen a push, and a local CRM."""
    with Emulator(snapshot=organisation.snapshot()) as crm:
        yield _bench(sqlserver_target, tmp_path, crm)


@pytest.fixture
def whole_bench(built_whole: Built, tmp_path: Path) -> Iterator[Workbench]:
    """The whole sample company on DuckDB, and a CRM that is as good as empty."""
    with ExitStack() as stack:
        yield open_bench(stack, built_whole, tmp_path, snapshot=organisation.empty())


@pytest.fixture
def sqlserver_whole_bench(sqlserver_whole_target: Path, tmp_path: Path) -> Iterator[Workbench]:
    """The same on SQL Server."""
    with Emulator(snapshot=organisation.empty()) as crm:
        yield _bench(sqlserver_whole_target, tmp_path, crm, WHOLE)


def _bench(target_path: Path, folder: Path, crm: Emulator, environ: Mapping[str, str] = {}) -> Workbench:
    settings: dict[str, Any] = {
        name: value for name, value in os.environ.items() if name.startswith("GP_CRM_SQLSERVER_")
    }
    bench = Workbench(folder / "none", target_path, crm, {**settings, **environ, "DBT_TARGET": "sqlserver"})
    with bench.run("write") as run:
        for name in JOURNAL_TABLES:
            run.warehouse.execute(f"delete from {run.contract.journal[name].relation}")
    return bench
