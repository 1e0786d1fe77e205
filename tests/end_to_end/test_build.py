"""`push --build`: dbt works on the warehouse that the loader pushes from, and what stops the push can be looked at."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from loader.context import Context
from loader.dbt_commands import same_warehouse, shown_by
from loader.push.building import run_dbt, stopped
from tests.conftest import PROJECT, Workbench
from tests.end_to_end.conftest import Webhook
from tests.end_to_end.test_commands import two_of_one_number
from tests.project.dbt_runs import ON_DUCKDB, Dbt
from tests.terminal import at_a_terminal

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
    elsewhere = profiles(tmp_path / "elsewhere", "elsewhere.duckdb")
    profiles(tmp_path / ".dbt", str(tmp_path / "home.duckdb"))
    ended = at_a_terminal(
        [sys.executable, "-m", "loader", "push", "--build", "--order", "ORDST2225", "--project-dir", str(PROJECT)],
        cwd=elsewhere,
        env={**own_project.environ, "PYTHONPATH": str(PROJECT)},
    )
    assert ended.exit_code == 0, ended.stdout + ended.stderr
    assert "1 updated" in ended.stdout
    assert "dbt: reading the project" in ended.stderr
    numbers = [(int(done), int(total)) for done, total in re.findall(r"(\d+)/(\d+) dbt: \w+", ended.stderr)]
    assert numbers == sorted(numbers), "the nodes are told as dbt comes to them"
    assert len({total for _, total in numbers}) == 1
    assert "dbt build:" in ended.stderr
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.duckdb")] == ["sample.duckdb"]


def test_each_place_of_profiles_is_handed_to_dbt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flag, environment, home = (profiles(tmp_path / name, "x.duckdb") for name in ("flag", "environment", "home/.dbt"))
    project = profiles(tmp_path / "project", "x.duckdb")
    (project / "dbt_project.yml").write_text("name: gp_to_crm\nprofile: gp_to_crm\n", encoding="utf-8")
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

    def handed(given: Path | None = None, **environ: str) -> str:
        with Context(Path("project"), given, environ=environ) as run:
            arguments = same_warehouse(run.target, run.project_dir)
        assert arguments[arguments.index("--project-dir") + 1] == str(project)
        return arguments[arguments.index("--profiles-dir") + 1]

    assert handed(Path("flag"), DBT_PROFILES_DIR=str(environment)) == str(flag)
    assert handed(DBT_PROFILES_DIR="environment") == str(environment)
    assert handed() == str(project)
    (project / "profiles.yml").unlink()
    assert handed() == str(home)


def test_push_build_stops_when_a_contract_test_fails(own_project: Workbench, hook: Webhook) -> None:
    """Test, model and rows are named; the command that is named shows the rows; status has the run; people are told.

    `check` names the same command.
    """
    two_of_one_number(own_project)
    before = own_project.crm.rows("salesorder")
    ended = own_project.loader("push", "--build")
    assert ended.exit_code == 7
    message = ended.error["message"]
    assert message.startswith("1 test of the crm models failed, so nothing was written.")
    assert "unique_code_crm_salesorder_name of crm_salesorder: 1 row fails: name ORDST2225" in message
    assert own_project.crm.rows("salesorder") == before
    (told,) = hook.told
    assert (told["news"], told["run"]["outcome"], told["run"]["message"]) == (["failed"], "stopped", message)
    assert "the push ended early (stopped).\n1 test of the crm models failed" in told["text"]
    assert "name ORDST2225" in told["text"]
    assert (told["new"], told["waiting"]["records"]) == ([], 0)

    test = "unique_code_crm_salesorder_name"
    kept = ["test", "--select", test, "--store-failures", *same_place(own_project)]
    assert run_dbt(kept, own_project.environ)[0] == 1
    assert own_project.query(f"select name, row_count from main_failures.{test}") == [("ORDST2225", 2)]
    with own_project.run() as run:
        results = json.loads((own_project.target_path / "run_results.json").read_text(encoding="utf-8"))["results"]
        results = [result for result in results if result["unique_id"] in run.contract.tests]
        assert f'The rows of this build are in "sample"."main_failures"."{test}".' in (
            stopped(run, results).remedy or ""
        )

    command = command_shown(ended.error["remedy"])
    assert "ORDST2225" in shown(own_project, command)
    found = [finding["remedy"] or "" for finding in own_project.loader("check").data["findings"]]
    assert command in [command_shown(remedy) for remedy in found if "dbt show" in remedy]

    (run,) = own_project.loader("status").data["runs"]
    assert (run["command"], run["outcome"], run["counts"]["staged"]) == ("push", "stopped", 0)
    assert run["message"] == message
    probed = own_project.loader("status", "--max-age", "1d", json_output=False)
    assert probed.exit_code == 1
    assert "the last push ended as stopped (1 test of the crm models failed" in probed.stdout
    assert "did not end well: stopped" in own_project.loader("report", "--out", "-", json_output=False).stdout


def same_place(bench: Workbench) -> list[str]:
    with bench.run() as run:
        return same_warehouse(run.target, run.project_dir)


def command_shown(remedy: str) -> str:
    (command,) = re.findall("`(dbt show .*?)`", remedy)
    return str(command)


def shown(bench: Workbench, command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dbt.cli.main", *shlex.split(command)[1:]],
        env={**bench.environ, "DBT_LOG_PATH": str(bench.target_path.parent / "logs")},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_rows_that_fail_without_a_value_are_named_by_their_key(own_project: Workbench) -> None:
    """A column that may not be empty: the row's key, not the empty column."""
    dbt = Dbt(own_project.path.parent)
    assert dbt.target_path == own_project.target_path
    dbt.succeed("compile", "--select", "not_null_crm_salesorder_customerid", *ON_DUCKDB)
    with own_project.run() as run:
        (test,) = [test for test in run.contract.tests.values() if test.name == "not_null_crm_salesorder_customerid"]
        assert (test.model, run.contract.key_columns(test.model)) == ("crm_salesorder", ("name",))
        assert run.contract.key_columns("crm_salesorderdetail") == ("salesorderid", "lineitemnumber")
    results = json.loads((own_project.target_path / "run_results.json").read_text(encoding="utf-8"))["results"]
    (sql,) = [r["compiled_code"] for r in results if ".not_null_crm_salesorder_customerid." in r["unique_id"]]
    empty = sql.replace("where customerid is null", "where name = 'ORDST2226'")
    result = {"unique_id": next(r["unique_id"] for r in results if r["compiled_code"] == sql), "failures": 1}
    with own_project.run() as run:
        error = stopped(run, [{**result, "compiled_code": empty}])
    assert "not_null_crm_salesorder_customerid of crm_salesorder: 1 row fails: name ORDST2226" in error.message
    with own_project.run() as run:
        error = stopped(run, [{**result, "compiled_code": "select nonsense", "failures": 7}])
    assert "7 rows fail" in error.message


def test_the_command_that_shows_failing_rows_has_the_variables_of_the_build(bench: Workbench) -> None:
    """A test of a model that only those switch on is none of the project without them."""
    variables = {"sync": {"units": True}, "deleted_orders": "cancel"}
    with bench.run() as run:
        command = shlex.split(shown_by(run.target, PROJECT, "unique_code_crm_uomschedule_name", variables))
        assert "--vars" not in shlex.split(shown_by(run.target, PROJECT, "unique_code_crm_salesorder_name"))
    assert json.loads(command[command.index("--vars") + 1]) == variables


def test_what_dbt_cannot_build_is_in_status_too(own_project: Workbench) -> None:
    own_project.execute("alter table gp.SOP10100 drop column FRTAMNT")
    ended = own_project.loader("push", "--build")
    assert (ended.exit_code, ended.error["code"]) == (1, "build_failed")
    assert "FRTAMNT" in ended.error["message"]
    (run,) = own_project.loader("status").data["runs"]
    assert (run["command"], run["outcome"]) == ("push", "error")


def test_a_guard_before_the_first_write_is_a_stop_in_status(bench: Workbench) -> None:
    assert bench.loader("push", "--max-changes", "1").exit_code == 7
    (run,) = bench.loader("status").data["runs"]
    assert (run["outcome"], run["counts"]["updated"]) == ("stopped", 0)
    assert "--max-changes" in run["message"]
