"""`push --build`: dbt first, in a process of its own; failed contract tests stop the push."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from loader.errors import GuardTripped, LoaderError

if TYPE_CHECKING:
    from loader.run import Run


class BuildFailed(LoaderError):
    """dbt could not build the models."""

    code = "build_failed"
    remedy = "Run `dbt build` to see it whole."


def build(run: Run, talk: Callable[[str], None], flags: Sequence[str] = ()) -> None:
    """Runs `dbt build`. Raises GuardTripped when an error-severity test failed, BuildFailed when a model did."""
    arguments = ["build", *flags, "--project-dir", str(run.project_dir), "--target", run.target.name]
    arguments += ["--profiles-dir", str(run.profiles_dir)] if run.profiles_dir else []
    exit_code, output = run_dbt(arguments, dbt_environ(run))
    results = _results(run)
    failed = [result for result in results if result["status"] in ("fail", "error")]
    warned = [result for result in results if result["status"] == "warn"]
    talk(f"dbt build: {len(results)} nodes, {len(failed)} failed, {len(warned)} warnings.")
    tests = [result for result in failed if result["unique_id"].startswith(("test.", "unit_test."))]
    if failed and len(tests) == len(failed):
        names = ", ".join(result["unique_id"].split(".")[2] for result in tests[:3])
        raise GuardTripped(
            f"{len(tests)} dbt tests failed: {names}. Nothing was written.",
            "`dbt test --select crm` shows the rows; correct them in GP or in the seeds.",
        )
    if exit_code:
        first = next((result["message"] for result in failed if result.get("message")), output.strip()[-500:])
        raise BuildFailed(f"dbt build failed: {first}")


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
        text=True,
        env=dict(environ),
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def _results(run: Run) -> list[dict[str, Any]]:
    path = run.project_dir / run.environ.get("DBT_TARGET_PATH", "target") / "run_results.json"
    try:
        results: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["results"]
    except (OSError, ValueError, KeyError):
        return []
    return results
