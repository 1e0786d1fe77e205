"""`--log-format json`: stderr for machines."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from loader.cli import run_command
from loader.context import Sources
from loader.profile import Target
from tests.conftest import PROJECT, Ended, Workbench


def lines(ended: Ended) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ended.stderr.splitlines()]


def test_a_push_logs_its_beginning_its_end_and_every_order_that_did_not_go(bench: Workbench) -> None:
    ended = bench.loader("push", "--log-format", "json")
    logged = lines(ended)
    (run_id,) = {line["run_id"] for line in logged}
    assert run_id == ended.data["run_id"]
    assert all({"time", "level", "run_id", "table", "key", "message"} <= line.keys() for line in logged)
    assert logged[0]["message"] == "push began"
    assert logged[-1]["message"].startswith("push ended as blocked: 119 staged, 87 created, 12 updated")
    told = {line["key"]: (line["level"], line["outcome"], line["reason"]) for line in logged if line["key"]}
    assert told == {
        row["key"]: ("warning", row["outcome"], row["reason"])
        for row in ended.data["results"]
        if row["outcome"] in ("blocked", "failed")
    }
    assert len([line for line in logged if line["key"]]) == len(told) == 17


def test_orders_that_crm_refuses_are_errors(bench: Workbench) -> None:
    bench.crm.deny(None, "prvShareOrder")
    logged = lines(bench.loader("push", "--order", "ORDST2226", "--log-format=json"))
    refused = [line for line in logged if line["level"] == "error"]
    assert refused
    assert all(line["message"] for line in refused)


def test_stdout_stays_as_it_is(bench: Workbench) -> None:
    ended = bench.loader("--log-format", "json", "status", json_output=False)
    assert ended.stdout.startswith("No run yet.")
    assert ended.stderr == ""


def test_as_text_stderr_says_nothing_twice(bench: Workbench) -> None:
    ended = bench.loader("push", json_output=False)
    assert "! ORDST2270 blocked" in ended.stdout
    assert "ORDST2270" not in ended.stderr


def test_quiet_leaves_out_what_is_no_trouble(bench: Workbench) -> None:
    logged = lines(bench.loader("push", "-q", "--log-format", "json"))
    assert {line["level"] for line in logged} == {"warning"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("status", "--max-age", "never"), "--max-age 'never' is not a duration."),
        (("push", "--nonsense"), "No such option"),
        (("status", "--run", "ffff"), "There is no run 'ffff'."),
    ],
)
@pytest.mark.parametrize("as_json", [True, False])
def test_errors_are_lines_too(bench: Workbench, arguments: tuple[str, ...], message: str, as_json: bool) -> None:
    ended = bench.loader(*arguments, "--log-format", "json", json_output=as_json)
    (line,) = lines(ended)
    assert (line["level"], line["run_id"]) == ("error", None)
    assert line["message"].startswith(message)
    assert line["remedy"]
    assert bool(ended.stdout) == as_json


def test_libraries_and_unexpected_errors_speak_the_same_language(capsys: pytest.CaptureFixture[str]) -> None:
    def broken(project: Path, profiles: Path | None, name: str | None, environ: Mapping[str, str]) -> Target:
        logging.getLogger("urllib3").warning("pool is full")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        raise RuntimeError("not foreseen")

    arguments = ["status", "--log-format", "json", "--project-dir", str(PROJECT)]
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert run_command(arguments, Sources(target=broken)) == 1
    logged = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["level"] for line in logged] == ["warning", "warning", "error"]
    assert logged[0]["message"] == "pool is full"
    assert "RuntimeError: not foreseen" in logged[2]["trace"]


def test_nothing_is_left_behind(bench: Workbench) -> None:
    before = list(logging.getLogger().handlers)
    bench.loader("status", "--log-format", "json")
    assert logging.getLogger().handlers == before
