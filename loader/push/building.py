"""Runs dbt in a process of its own; failed contract tests stop the push."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from itertools import islice
from pathlib import Path
from typing import Any

from loader import __version__
from loader.context import Context, Doing
from loader.dbt_commands import same_warehouse, shown_by
from loader.errors import GuardTripped, LoaderError
from loader.files import private_files
from loader.warehouse.journal import RunCounts, RunOutcome, RunStart


class BuildFailed(LoaderError):
    """dbt could not build the models."""

    code = "build_failed"
    remedy = "Run `dbt build` to see it whole."


SHOWN = 5
"""Failing rows and tests that a message names."""


def build_or_stop(context: Context, command: str, talk: Callable[[str], None]) -> None:
    """`build` for a push: what stops it is entered in the journal, as a run that looked at no record."""
    start = RunStart.now(command, context.settings.crm_url, __version__)
    try:
        build(context, talk)
    except LoaderError as error:
        with suppress(LoaderError):  # without a warehouse or a manifest there is nowhere to enter it
            context.journal.prepare()
            context.journal.start(start)
            outcome: RunOutcome = "stopped" if isinstance(error, GuardTripped) else "error"
            context.journal.finish(start.run_id, RunCounts(), outcome, str(error))
        raise


def build(context: Context, talk: Callable[[str], None], variables: Mapping[str, object] | None = None) -> None:
    """Runs `dbt build`, with other values for some of dbt's variables.

    Raises GuardTripped when an error-severity test of a `crm_*` model failed, BuildFailed when a model did. Unit tests
    are left out: they test the mapping, not today's rows.
    """
    results_path(context).unlink(missing_ok=True)
    with private_files() if context.target.type == "duckdb" else nullcontext():
        command = [
            "build",
            "--exclude-resource-type",
            "unit_test",
            *same_warehouse(context.target, context.project_dir),
        ]
        if variables:
            command += ["--vars", json.dumps(variables)]
        exit_code, output = run_dbt(command, dbt_environ(context), context.doing)
    results = _results(results_path(context))
    failed = [result for result in results if result["status"] in ("fail", "error")]
    warned = [result for result in results if result["status"] == "warn"]
    warnings = "1 warning" if len(warned) == 1 else f"{len(warned)} warnings"
    talk(f"dbt build: {len(results)} nodes, {len(failed)} failed, {warnings}.")
    broken = [result for result in failed if not result["unique_id"].startswith("test.")]
    tests = [result for result in failed if result["unique_id"] in context.contract.tests]
    if tests and not broken:
        raise stopped(context, tests, variables)
    first = next((result["message"] for result in failed if result.get("message")), output.strip()[-500:])
    if exit_code and (broken or not failed):
        raise BuildFailed(f"dbt build failed: {first}", _driver_remedy(context, first))
    skipped = {result["unique_id"] for result in results if result["status"] == "skipped"}
    left = [model.name for model in context.contract.each_model if model.unique_id in skipped]
    if left:
        names = ", ".join(result["unique_id"].split(".")[2] for result in failed[:SHOWN])
        raise BuildFailed(f"dbt did not build {', '.join(left)}, because {names} failed: {first}")


def stopped(
    context: Context, tests: Sequence[Mapping[str, Any]], variables: Mapping[str, object] | None = None
) -> GuardTripped:
    """Names the failed tests, their models and the rows that fail, and the command that shows them all."""
    names = [context.contract.tests[result["unique_id"]].name for result in tests]
    described = [_described(context, result) for result in tests[:SHOWN]]
    more = f"\nand {len(tests) - SHOWN} more tests" if len(tests) > SHOWN else ""
    counted = "1 test" if len(tests) == 1 else f"{len(tests)} tests"
    shows = shown_by(context.target, context.project_dir, names[0], variables)
    return GuardTripped(
        f"{counted} of the crm models failed, so nothing was written.\n" + "\n".join(described) + more,
        f"Correct the rows in GP or in the seeds. `{shows}` shows"
        + (" them." if len(names) == 1 else " those of the first test; the others' in the same way.")
        + _stored(tests),
    )


def _stored(tests: Sequence[Mapping[str, Any]]) -> str:
    """Where dbt has kept the failing rows, if it was told to."""
    tables = [str(result["relation_name"]) for result in tests if result.get("relation_name")]
    return f" The rows of this build are in {', '.join(tables[:SHOWN])}." if tables else ""


def _described(context: Context, result: Mapping[str, Any]) -> str:
    test = context.contract.tests[result["unique_id"]]
    number = result.get("failures")
    text = f"{test.name} of {test.model}: " + ("1 row fails" if number == 1 else f"{number} rows fail")
    sql = result.get("compiled_code")
    if not (sql and number):
        return f"{test.name} of {test.model}: {result.get('message') or 'it could not be run'}"
    try:
        names, rows = context.warehouse.first(sql, SHOWN)
    except LoaderError:
        return text
    keys = context.contract.key_columns(test.model)
    described = "; ".join(_row(dict(zip(names, row, strict=True)), keys) for row in rows)
    return f"{text}: {described}" + (" …" if number > len(rows) else "")


def _row(row: Mapping[str, object], keys: Sequence[str]) -> str:
    """A row by its keys; where it has none, by what comes first of it."""
    by_key = {name: row[name] for name in keys if row.get(name) is not None}
    shown = by_key or {name: value for name, value in islice(row.items(), SHOWN) if value is not None} or row
    return ", ".join(f"{name} {value}" for name, value in shown.items())


def _driver_remedy(context: Context, message: str) -> str | None:
    """Where a profile names a driver that is not installed, dbt gets no further; the loader itself found another."""
    if "Can't open lib" not in message and "IM002" not in message:
        return None
    profiles = context.target.profiles_dir / "profiles.yml"
    return (
        f"dbt does not find the ODBC driver. Write `driver: {{{{ env_var('GP_CRM_SQLSERVER_DRIVER') }}}}` in"
        f" {profiles}, or the path that `loader driver --target {context.target.name}` prints."
    )


def dbt_environ(context: Context) -> dict[str, str]:
    """The run's environment; it tells dbt where the packaged ODBC driver is."""
    environ = dict(context.environ)
    if context.target.type == "sqlserver" and context.target.backend == "pyodbc":
        from loader.warehouse.sqlserver import driver_path

        environ["GP_CRM_SQLSERVER_DRIVER"] = driver_path(context.target)
    return environ


def run_dbt(arguments: Sequence[str], environ: Mapping[str, str], doing: Doing | None = None) -> tuple[int, str]:
    """dbt's exit code, and what it says of errors. `doing` is told which node it has come to.

    A process of its own: dbt keeps DuckDB's file to itself while it lives.
    """
    furthest = 0

    def node(name: str, number: int, total: int) -> None:
        nonlocal furthest
        furthest = max(furthest, number)  # dbt's threads begin out of order
        if doing:
            doing(f"dbt: {name}", furthest, total)

    if doing:
        doing("dbt: reading the project")
    command = [sys.executable, "-c", "from dbt.cli.main import cli; cli()", "--log-format", "json", "--no-use-colors"]
    with subprocess.Popen(
        [*command, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        env=dict(environ),
    ) as process:
        assert process.stdout is not None
        try:
            said = [text for line in process.stdout if (text := _followed(line, node))]
        except BaseException:
            process.kill()
            raise
    return process.returncode, "\n".join(said)


def _followed(line: str, node: Callable[[str, int, int], None]) -> str:
    """A line of dbt's log: tells `node` of one that dbt begins with, and returns an error's text."""
    try:
        event = json.loads(line)
        info, data = event["info"], event["data"]
    except (ValueError, TypeError, KeyError):
        return line.rstrip()  # not of the log: Python's own words, or a macro's
    if info["name"] == "LogStartLine":
        node(data["node_info"]["node_name"], data["index"], data["total"])
    return str(info["msg"]) if info["level"] == "error" else ""


def results_path(context: Context) -> Path:
    return context.project_dir / context.environ.get("DBT_TARGET_PATH", "target") / "run_results.json"


def _results(path: Path) -> list[dict[str, Any]]:
    try:
        results: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["results"]
    except (OSError, ValueError, KeyError):
        return []
    return results
