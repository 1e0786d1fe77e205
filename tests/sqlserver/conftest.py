"""The sample company on SQL Server: everything here runs where GP_CRM_SQLSERVER_HOST is set.

The database named by GP_CRM_SQLSERVER_DATABASE is the tests' own: GP's tables are made in it anew, beside dbt's views.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator import Emulator
from loader.profile import read_target
from loader.push.building import build
from loader.run import Run
from loader.warehouse.connect import connect
from sample import company, organisation
from tests.conftest import PROJECT, Workbench

JOURNAL = ("sync_run", "sync_event", "retry_queue", "crm_xref", "sync_lock")


@pytest.fixture(scope="session")
def sqlserver_target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """dbt's artifacts of the sample company, staged on SQL Server."""
    if not os.environ.get("GP_CRM_SQLSERVER_HOST"):
        pytest.skip("GP_CRM_SQLSERVER_HOST is not set")
    target_path = tmp_path_factory.mktemp("sqlserver")
    warehouse = connect(read_target(PROJECT, None, "sqlserver", os.environ))
    company.load(warehouse, schema="dbo")
    warehouse.close()
    with Run(PROJECT, target_name="sqlserver", environ={**os.environ, "DBT_TARGET_PATH": str(target_path)}) as run:
        build(run, print)
    return target_path


@pytest.fixture
def sqlserver_bench(sqlserver_target: Path, tmp_path: Path) -> Iterator[Workbench]:
    """A journal that has never seen a push, and a local CRM."""
    with Emulator(snapshot=organisation.snapshot()) as crm:
        settings = {name: value for name, value in os.environ.items() if name.startswith("GP_CRM_SQLSERVER_")}
        bench = Workbench(tmp_path / "none", sqlserver_target, crm, {**settings, "DBT_TARGET": "sqlserver"})
        with bench.run("write") as run:
            for name in JOURNAL:
                run.warehouse.execute(f"delete from {run.contract.journal[name].relation}")
        yield bench
