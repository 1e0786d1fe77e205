"""With every integration on, each case ends as sample/cases.csv says, and CRM then holds what is staged."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from loader.profile import read_target
from loader.push.building import run_dbt
from loader.warehouse.connect import connect
from sample import company, organisation, story
from sample.cases import cases
from tests.conftest import PROJECT, Built, Ended, Workbench, open_bench

SETTINGS = [(sop_mode, born_active) for sop_mode in (True, False) for born_active in (False, True)]


@pytest.fixture(scope="session")
def built_whole(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Built:
    """The sample company staged by dbt with every integration on."""
    root = tmp_path_factory.getbasetemp() if worker_id == "master" else tmp_path_factory.getbasetemp().parent
    folder = root / "whole_company"
    with FileLock(root / "whole_company.lock"):
        if not (folder / "built").exists():
            folder.mkdir()
            environ = {"GP_CRM_DUCKDB_PATH": str(folder / "sample.duckdb"), "DBT_TARGET_PATH": str(folder / "target")}
            warehouse = connect(read_target(PROJECT, None, None, {**os.environ, **environ}), for_run=True, create=True)
            company.load(warehouse)
            warehouse.close()
            arguments = ["build", "--exclude-resource-type", "unit_test", "--exclude-resource-type", "test"]
            arguments += ["--project-dir", str(PROJECT), "--vars", json.dumps(story.VARS)]
            exit_code, output = run_dbt(arguments, {**os.environ, **environ})
            assert exit_code == 0, output
            (folder / "built").touch()
    return Built(folder / "sample.duckdb", folder / "target")


@pytest.fixture
def whole(built_whole: Built, tmp_path: Path) -> Iterator[Workbench]:
    """Every integration on, and a CRM that is as good as empty."""
    with ExitStack() as stack:
        yield open_bench(stack, built_whole, tmp_path, snapshot=organisation.empty())


def results_of(ended: Ended) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["table"], row["key"]): row for row in ended.data["results"]}


def wrong_cases(push: str, ended: Ended, bench: Workbench) -> list[tuple[str, ...]]:
    results, wrong = results_of(ended), []
    units = {" / ".join(map(str, row)) for row in bench.query("select uomscheduleid, name from crm_uom")}
    for case in cases(push):
        its = (case["table"], case["key"])
        expected = (case["outcome"], case["reason"])
        if case["table"] == "uom":
            found: tuple[str, str] = ("created" if case["key"] in units else "not_staged", "")
        elif its in results:
            found = (results[its]["outcome"], results[its]["reason"] or "")
        else:
            found = ("not_staged", "")
        warnings = {warning["code"] for warning in results[its]["warnings"]} if its in results else set()
        if found != expected or not set(filter(None, case["warnings"].split(";"))) <= warnings:
            wrong.append((case["case"], *its, *expected, *found, ";".join(sorted(warnings))))
    return wrong


def assert_crm_is_as_staged(ended: Ended, bench: Workbench) -> None:
    """Value by value, but for what did not go; and a second push writes nothing."""
    results = results_of(ended)
    apart = [its for its, row in results.items() if row["outcome"] in ("blocked", "failed", "skipped")]
    verified = bench.verify(apart, [its for its, row in results.items() if row["outcome"] == "created"])
    assert verified.differences == []
    for table, counts in ended.data["tables"].items():
        assert verified.records[table] >= counts["created"] + counts["updated"]
    again = bench.loader("push")
    assert again.data["requests"]["write"] == 0
    assert again.orders["failed"] == 0


@pytest.mark.parametrize(("sop_mode", "born_active"), SETTINGS)
def test_one_push_fills_an_empty_crm(built_whole: Built, tmp_path: Path, sop_mode: bool, born_active: bool) -> None:
    with ExitStack() as stack:
        snapshot = organisation.empty(sop_mode, products_are_born_active=born_active)
        bench = open_bench(stack, built_whole, tmp_path, snapshot=snapshot)
        planned = bench.loader("plan")
        assert planned.exit_code == 0, planned.stdout
        ended = bench.loader("push")
        assert ended.exit_code == 3, ended.stderr
        assert wrong_cases("empty", ended, bench) == []
        pushed = {
            table: {
                **{"create": its["created"], "update": its["updated"], "unchanged": its["unchanged"]},
                **{"skipped": its["skipped"], "blocked": its["blocked"]},
            }
            for table, its in ended.data["tables"].items()
        }
        assert pushed == planned.data["tables"]
        assert_crm_is_as_staged(ended, bench)


def test_everything_goes_to_an_organisation_that_has_most_of_it(built_whole: Built, tmp_path: Path) -> None:
    with ExitStack() as stack:
        bench = open_bench(stack, built_whole, tmp_path)
        ended = bench.loader("push")
        assert ended.exit_code == 3, ended.stderr
        assert wrong_cases("full", ended, bench) == []
        assert_crm_is_as_staged(ended, bench)
