"""What holds customers' addresses is made for its owner alone, and does not end up in git."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import PROJECT, Workbench

pytestmark = pytest.mark.skipif(os.name != "posix", reason="permissions as POSIX has them")


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    """The usual one, with which files are everybody's to read."""
    before = os.umask(0o022)
    yield
    assert os.umask(before) == 0o022


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_plans_and_reports_are_their_owners(bench: Workbench, tmp_path: Path) -> None:
    plan, page = tmp_path / "x.plan", tmp_path / "x.html"
    assert bench.loader("plan", "--out", str(plan)).exit_code == 0
    assert bench.loader("report", "--out", str(page)).exit_code == 0
    assert (mode(plan), mode(page)) == (0o600, 0o600)


def test_a_file_that_is_there_keeps_its_permissions(bench: Workbench, tmp_path: Path) -> None:
    page = tmp_path / "x.html"
    page.touch()
    page.chmod(0o644)
    bench.loader("report", "--out", str(page))
    assert mode(page) == 0o644
    assert page.stat().st_size > 10_000


def test_a_duckdb_file_and_its_log_are_their_owners(tmp_path: Path) -> None:
    """In a process of its own that is ended before DuckDB can put its log away."""
    script = f"""
import os
from pathlib import Path
from loader.demonstration import Demonstration
from loader.context import Context
open_run = lambda access: Context(Path({str(PROJECT)!r}), environ=os.environ, access=access)
Demonstration(open_run, None, print).load_company()
with open_run("write") as run:
    run.warehouse.execute("create table gp.more as select 1 as one")
    os._exit(0)
"""
    subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(PROJECT), "GP_CRM_DUCKDB_PATH": str(tmp_path / "new.duckdb")},
        check=True,
        capture_output=True,
    )
    made = {path.name: mode(path) for path in tmp_path.iterdir()}
    assert made == {"new.duckdb": 0o600, "new.duckdb.wal": 0o600}


@pytest.mark.parametrize("name", ["monday.plan", "report.html", "out/x.plan", "x.duckdb", "x.duckdb.wal"])
def test_git_ignores_them(tmp_path: Path, name: str) -> None:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text((PROJECT / ".gitignore").read_text(encoding="utf-8"), encoding="utf-8")
    assert subprocess.run(["git", "-C", str(tmp_path), "check-ignore", "--quiet", name], check=False).returncode == 0
