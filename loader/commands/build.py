"""`push --build`: dbt first, in a process of its own; failed contract tests stop the push."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from loader.errors import GuardTripped, LoaderError


class BuildFailed(LoaderError):
    """dbt could not build the models."""

    code = "build_failed"
    remedy = "Run `dbt build` to see it whole."


def build(project_dir: Path, profiles_dir: Path | None, target: str | None, talk: Callable[[str], None]) -> None:
    """Runs `dbt build`. Raises GuardTripped when an error-severity test failed, BuildFailed when a model did."""
    arguments = ["build", "--project-dir", str(project_dir)]
    arguments += ["--profiles-dir", str(profiles_dir)] if profiles_dir else []
    arguments += ["--target", target] if target else []
    exit_code, output = run_dbt(arguments)
    results = _results(project_dir)
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


def run_dbt(arguments: list[str], environ: dict[str, str] | None = None) -> tuple[int, str]:
    """dbt's exit code and output. A process of its own: dbt keeps DuckDB's file to itself while it lives."""
    done = subprocess.run(
        [sys.executable, "-m", "dbt.cli.main", "--quiet", "--no-use-colors", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **(environ or {})},
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def _results(project_dir: Path) -> list[dict[str, Any]]:
    path = project_dir / os.environ.get("DBT_TARGET_PATH", "target") / "run_results.json"
    try:
        results: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["results"]
    except (OSError, ValueError, KeyError):
        return []
    return results
