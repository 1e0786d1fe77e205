"""`loader demo` runs as often as one likes, and never over somebody's data."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from loader.profile import read_target
from loader.warehouse.connect import connect
from sample import company
from tests.conftest import PROJECT

TABLES = (
    *("account", "uomschedule", "uom", "product"),
    *("salesorder", "salesorderdetail", "invoice", "invoicedetail"),
)


def demo(folder: Path, target: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CRM_", "DBT_"))}
    return subprocess.run(
        [sys.executable, "-m", "loader", "demo", "--target", target, "--project-dir", str(PROJECT)],
        cwd=folder,
        env={
            **kept,
            "PYTHONPATH": str(PROJECT),
            "GP_CRM_DUCKDB_PATH": str(folder / "demo.duckdb"),
            "DBT_TARGET_PATH": str(folder / "target"),
            "DBT_LOG_PATH": str(folder / "logs"),
        },
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


@pytest.mark.parametrize("target", ["duckdb", pytest.param("sqlserver", marks=pytest.mark.sqlserver)])
def test_the_demo_runs_twice_in_a_row(tmp_path: Path, target: str) -> None:
    if target == "sqlserver" and not os.environ.get("GP_CRM_SQLSERVER_HOST"):
        pytest.skip("GP_CRM_SQLSERVER_HOST is not set")
    for _ in range(2):
        ended = demo(tmp_path, target)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert "All equal." in ended.stdout
        for table in (
            "account",
            "uomschedule",
            "uom",
            "product",
            "salesorder",
            "salesorderdetail",
            "invoice",
            "invoicedetail",
        ):
            assert f"  {table}: " in ended.stdout
        assert "salesorder ORDST2240 statecode: 0 → 3" in ended.stdout
        assert "invoice INVST2240: created" in ended.stdout


def test_the_demo_leaves_customers_alone_that_are_not_the_samples(tmp_path: Path) -> None:
    environ = {"GP_CRM_DUCKDB_PATH": str(tmp_path / "demo.duckdb")}
    warehouse = connect(read_target(PROJECT, None, "duckdb", environ), for_run=True, create=True)
    company.load(warehouse)
    warehouse.execute(
        "update gp.RM00101 set CUSTNMBR = rpad('CONTOSO', 15, ' ') where rtrim(CUSTNMBR) = 'AARONFIT0001'"
    )
    warehouse.execute("update gp.RM00101 set CUSTNMBR = rtrim(CUSTNMBR) where CUSTNMBR like 'A%'")
    warehouse.close()
    ended = demo(tmp_path, "duckdb")
    assert ended.returncode == 2
    assert "such as CONTOSO;" in ended.stderr
