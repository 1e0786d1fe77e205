"""`push --build`: dbt works on the warehouse that the loader pushes from, and what stops the push can be looked at."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from loader.commands.build import same_warehouse
from loader.run import Run
from tests.conftest import PROJECT, Workbench
from tests.end_to_end.test_commands import two_of_one_number

PROFILE = """
gp_to_crm:
  target: duckdb
  outputs:
    duckdb: {{type: duckdb, schema: main, path: "{path}"}}
"""


def profiles(folder: Path, path: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "profiles.yml").write_text(PROFILE.format(path=path), encoding="utf-8")
    return folder


def test_dbt_builds_where_the_loader_reads_wherever_it_is_started(
    own_project: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The project's own profiles.yml, seen from another directory, with other profiles there and in the home."""
    home, elsewhere = tmp_path / "home", profiles(tmp_path / "elsewhere", "elsewhere.duckdb")
    profiles(home / ".dbt", str(tmp_path / "home.duckdb"))
    ended = subprocess.run(
        [sys.executable, "-m", "loader", "push", "--build", "--order", "ORDST2225", "--project-dir", str(PROJECT)],
        cwd=elsewhere,
        env={**own_project.environ, "HOME": str(home), "USERPROFILE": str(home), "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "1 updated" in ended.stdout
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.duckdb")] == ["sample.duckdb"]


def test_each_place_of_profiles_is_handed_to_dbt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flag, environment, home = (profiles(tmp_path / name, "x.duckdb") for name in ("flag", "environment", "home/.dbt"))
    project = profiles(tmp_path / "project", "x.duckdb")
    (project / "dbt_project.yml").write_text("name: gp_to_crm\nprofile: gp_to_crm\n", encoding="utf-8")
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    monkeypatch.chdir(tmp_path)

    def handed(given: Path | None = None, **environ: str) -> str:
        with Run(Path("project"), given, environ=environ) as run:
            arguments = same_warehouse(run)
        assert arguments[arguments.index("--project-dir") + 1] == str(project)
        return arguments[arguments.index("--profiles-dir") + 1]

    assert handed(Path("flag"), DBT_PROFILES_DIR=str(environment)) == str(flag)
    assert handed(DBT_PROFILES_DIR="environment") == str(environment)
    assert handed() == str(project)
    (project / "profiles.yml").unlink()
    assert handed() == str(home)


def test_push_build_stages_and_pushes(own_project: Workbench) -> None:
    ended = own_project.loader("push", "--build", "--order", "ORDST2225")
    assert (ended.exit_code, ended.orders["updated"]) == (0, 1)
    assert "dbt build:" in ended.stderr


def test_push_build_stops_when_a_contract_test_fails(own_project: Workbench) -> None:
    two_of_one_number(own_project)
    before = own_project.crm.rows("salesorder")
    ended = own_project.loader("push", "--build")
    assert ended.exit_code == 7
    assert "unique_code_crm_salesorder_name" in ended.error["message"]
    assert own_project.crm.rows("salesorder") == before
