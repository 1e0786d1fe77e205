"""`loader demo` runs as often as one likes, and never over somebody's data."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from loader.profile import read_target
from loader.warehouse.connect import connect
from sample import company
from tests.conftest import PROJECT, Built
from tests.project.dbt_runs import DUCKDB_FILE, at_home
from tests.thorough import THOROUGH

TABLES = (
    *("account", "uomschedule", "uom", "product"),
    *("salesorder", "salesorderdetail", "invoice", "invoicedetail"),
)


def terminal(home: Path) -> dict[str, str]:
    """The environment of somebody who has set nothing, with `loader` in the path."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CRM_", "DBT_", "GP_CRM_DUCKDB"))}
    scripts = str(Path(sys.executable).parent)
    path = os.pathsep.join([scripts, os.environ["PATH"]])
    return {**kept, "PYTHONPATH": str(PROJECT), "PATH": path, "HOME": str(home), "USERPROFILE": str(home)}


def demo(folder: Path, target: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "loader", "demo", "--target", target, "--project-dir", str(PROJECT)],
        cwd=folder,
        env={
            **terminal(folder),
            **at_home(folder),
            "DBT_TARGET_PATH": str(folder / "target"),
            "DBT_LOG_PATH": str(folder / "logs"),
        },
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


@pytest.mark.timeout(900)
@pytest.mark.parametrize("target", ["duckdb", pytest.param("sqlserver", marks=pytest.mark.sqlserver)])
def test_the_demo_runs_as_often_as_one_likes(built_whole: Built, tmp_path: Path, target: str) -> None:
    """Twice in a row where every case is taken."""
    if target == "sqlserver" and not os.environ.get("GP_CRM_SQLSERVER_HOST"):
        pytest.skip("GP_CRM_SQLSERVER_HOST is not set")
    shutil.copytree(built_whole.target_path, tmp_path / "target")  # dbt has read the project with the demo's settings
    for _ in range(2 if THOROUGH else 1):
        ended = demo(tmp_path, target)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert "All equal." in ended.stdout
        for table in TABLES:
            assert f"  {table}: " in ended.stdout
        assert "salesorder ORDST2240 statecode: Active → Fulfilled" in ended.stdout
        assert "invoice INVST2240: created" in ended.stdout
    goes_on_as_printed(ended.stdout, tmp_path)


def goes_on_as_printed(said: str, folder: Path) -> None:
    """The last lines of the demo, pasted into two terminals; only the port is a free one."""
    first, second = (
        [line.strip() for line in part.splitlines() if line.startswith("  ")]
        for part in said.partition("The demo's CRM once more, until Ctrl-C:\n")[2].split("And in a second terminal:\n")
    )
    assert first[-1].startswith("loader emulator --snapshot ")
    first[-1] = f"exec {first[-1]} --port 0"
    environ: dict[str, Any] = {
        "cwd": folder,
        "env": {**terminal(folder), "DBT_LOG_PATH": str(folder / "logs")},
        "text": True,
    }
    crm = subprocess.Popen(["sh", "-ec", "\n".join(first)], stderr=subprocess.PIPE, **environ)
    try:
        assert crm.stderr is not None
        assert "it and its token are in " in crm.stderr.readline()
        change, *commands = second
        assert [" ".join(each.split()[4:7]) for each in commands] == [
            "-- loader plan", "-- loader explain", "-- loader status", "-- loader retry",
        ]  # fmt: skip
        for command in commands:
            done = subprocess.run(["sh", "-ec", f"{change}\n{command}"], capture_output=True, **environ)
            assert done.returncode in ((0, 3) if "status" in command else (0,)), done.stdout + done.stderr
            if command.endswith("loader plan"):
                assert "195 unchanged" in done.stdout
    finally:
        crm.send_signal(signal.SIGINT)
        assert crm.wait(20) == 0


def test_the_demo_leaves_customers_alone_that_are_not_the_samples(tmp_path: Path) -> None:
    environ = {"GP_CRM_DUCKDB_PATH": str(tmp_path / DUCKDB_FILE)}
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
