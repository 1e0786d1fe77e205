"""`push --build`: dbt first, in a process of its own; failed contract tests stop the push."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loader.errors import GuardTripped, LoaderError

if TYPE_CHECKING:
    from loader.run import Run


class BuildFailed(LoaderError):
    """dbt could not build the models."""

    code = "build_failed"
    remedy = "Run `dbt build` to see it whole."


def build(run: Run, talk: Callable[[str], None]) -> None:
    """Runs `dbt build`. Raises GuardTripped when an error-severity test of a `crm_*` model failed, BuildFailed when
    a model did. Unit tests are left out: they test the mapping, not today's rows."""
    results_path(run).unlink(missing_ok=True)
    exit_code, output = run_dbt(
        ["build", "--exclude-resource-type", "unit_test", *same_warehouse(run)], dbt_environ(run)
    )
    results = _results(results_path(run))
    failed = [result for result in results if result["status"] in ("fail", "error")]
    warned = [result for result in results if result["status"] == "warn"]
    talk(f"dbt build: {len(results)} nodes, {len(failed)} failed, {len(warned)} warnings.")
    broken = [result for result in failed if not result["unique_id"].startswith("test.")]
    tests = [result["unique_id"].split(".")[2] for result in failed if result["unique_id"] in run.contract.tests]
    if tests and not broken:
        raise GuardTripped(
            f"{len(tests)} tests of the crm models failed: {', '.join(tests[:3])}. Nothing was written.",
            "`dbt test --select crm` shows the rows; correct them in GP or in the seeds.",
        )
    if exit_code and (broken or not failed):
        first = next((result["message"] for result in failed if result.get("message")), output.strip()[-500:])
        raise BuildFailed(f"dbt build failed: {first}", _driver_remedy(run, first))


def _driver_remedy(run: Run, message: str) -> str | None:
    """Where a profile names a driver that is not installed, dbt gets no further; the loader itself found another."""
    if "Can't open lib" not in message and "IM002" not in message:
        return None
    profiles = run.target.profiles_dir / "profiles.yml"
    return (
        f"dbt does not find the ODBC driver. Write `driver: {{{{ env_var('GP_CRM_SQLSERVER_DRIVER') }}}}` in"
        f" {profiles}, or the path that `loader driver --target {run.target.name}` prints."
    )


def same_warehouse(run: Run) -> list[str]:
    """dbt's flags for the project, profiles file, profile and target that this run read.

    dbt alone would look for profiles.yml in the directory it is started in, not in the project's.
    """
    target = run.target
    return [
        "--project-dir", str(run.project_dir.absolute()),
        "--profiles-dir", str(target.profiles_dir),
        "--profile", target.profile,
        "--target", target.name,
    ]  # fmt: skip


def dbt_environ(run: Run) -> dict[str, str]:
    """The run's environment; dbt is told where the packaged ODBC driver is, which it would not find."""
    environ = dict(run.environ)
    if run.target.type == "sqlserver" and run.target.backend == "pyodbc":
        from loader.warehouse.sqlserver import driver_path

        environ["GP_CRM_SQLSERVER_DRIVER"] = driver_path(run.target)
    return environ


def run_dbt(arguments: Sequence[str], environ: Mapping[str, str]) -> tuple[int, str]:
    """dbt's exit code and output. A process of its own: dbt keeps DuckDB's file to itself while it lives."""
    done = subprocess.run(
        [sys.executable, "-c", "from dbt.cli.main import cli; cli()", "--quiet", "--no-use-colors", *arguments],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        env=dict(environ),
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def results_path(run: Run) -> Path:
    return run.project_dir / run.environ.get("DBT_TARGET_PATH", "target") / "run_results.json"


def _results(path: Path) -> list[dict[str, Any]]:
    try:
        results: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["results"]
    except (OSError, ValueError, KeyError):
        return []
    return results
