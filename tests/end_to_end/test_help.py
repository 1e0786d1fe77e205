"""What the commands say in passing: counts of one, ages, money, completion."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.conftest import Workbench

WAIT = {"ORDST2272": "account_ambiguous", "ORDST2282": "status_unmapped", "ORDST2342": "value_out_of_range"}
GOES = "ORDST2228"


def said(bench: Workbench, *arguments: str) -> str:
    ended = bench.loader(*arguments, json_output=False)
    return ended.stdout + ended.stderr


def states(bench: Workbench) -> dict[str, str]:
    return {row["key"]: row["state"] for row in bench.loader("retry", "list").data["queue"]}


def orders(*names: str) -> list[str]:
    return [part for name in names for part in ("--order", name)]


@pytest.mark.gp_changes
def test_one_is_one_wherever_it_is_counted(bench: Workbench) -> None:
    run_id = bench.loader("push", *orders(GOES)).data["run_id"]
    bench.loader("push", *orders("ORDST2272"))
    bench.execute("update gp.SOP10100 set SOPSTATUS = 77 where rtrim(SOPNUMBE) = 'ORDST2229'")
    told = [
        said(bench, *command)
        for command in (
            ("plan", *orders(GOES)),
            ("push", *orders("ORDST2272")),
            ("status",),
            ("retry", "list"),
            ("check",),
            ("xref", "check"),
            ("explain", "ORDST2272"),
            ("undo", "--run", str(run_id), "--yes"),
            ("reconcile",),
        )
    ]
    wrong = re.compile(r"\b1 (orders|records|lines|rows|tries|requests|findings|warnings|others|values|runs)\b")
    assert [found[0] for text in told for found in wrong.finditer(text)] == []
    assert "1 order is blocked" in "".join(told)


def test_all_that_waits_for_one_reason_is_held_and_released_together(bench: Workbench) -> None:
    bench.loader("push", *orders(*WAIT))
    assert bench.loader("retry", "hold", "--reason", "status_unmapped").exit_code == 0
    assert states(bench) == {"ORDST2272": "open", "ORDST2282": "held", "ORDST2342": "open"}
    assert bench.loader("retry", "hold", "--all").exit_code == 0
    assert set(states(bench).values()) == {"held"}
    assert bench.loader("retry", "release", "--reason", "account_ambiguous").exit_code == 0
    assert states(bench)["ORDST2272"] == "open"
    assert bench.loader("retry", "ignore", "--all").exit_code == 0
    assert set(states(bench).values()) == {"ignored"}
    assert bench.loader("retry", "release", "--all").exit_code == 0
    assert set(states(bench).values()) == {"open"}


def test_a_reason_that_nothing_waits_for_is_an_error_and_so_are_two_choices(bench: Workbench) -> None:
    bench.loader("push", *orders("ORDST2272"))
    ended = bench.loader("retry", "hold", "--reason", "uom_not_found")
    assert (ended.exit_code, ended.error["code"]) == (1, "not_found")
    for choice in ((), ("--all", "--reason", "account_ambiguous"), ("ORDST2272", "--all")):
        assert bench.loader("retry", "hold", *choice).exit_code == 2


def test_status_shows_command_message_and_money_and_the_queue_age_and_money(bench: Workbench) -> None:
    bench.loader("push", *orders("ORDST2272"))
    bench.settings["CRM_ACCESS_TOKEN"] = "wrong"
    bench.loader("push")
    del bench.settings["CRM_ACCESS_TOKEN"]
    head, failed, message, other, queue = said(bench, "status").splitlines()
    assert head.split() == ["RUN", "STARTED", "(UTC)", "SECONDS", "COMMAND", "OUTCOME", "STAGED", "RECORDS"]
    assert " push " in failed
    assert " error " in failed
    assert message.startswith("    ")
    assert " push --order " in other
    assert re.fullmatch(r"Retry queue: 1 open \([0-9,]+\.[0-9]{2}\), 0 held, 0 ignored\.", queue)
    assert max(map(len, (head, failed, other))) <= 100
    title, entry, missing, *_ = said(bench, "retry", "list").splitlines()
    assert title.split() == ["ORDER", "STATE", "REASON", "SINCE", "(UTC)", "AGE", "TRIES", "AMOUNT"]
    assert re.search(r"  [0-9]+ (s|min)  +1  +[0-9,]+\.[0-9]{2}$", entry)
    assert missing == "    CRM has 2 rows of account with accountnumber 'LASERMES0001'"


def test_loader_alone_prints_its_help(bench: Workbench) -> None:
    ended = subprocess.run([sys.executable, "-m", "loader"], capture_output=True, text=True, check=True)
    assert ended.stdout.startswith("Usage: loader [OPTIONS] [COMMAND]")


@pytest.mark.skipif(os.name == "nt", reason="bash")
def test_the_shell_completes_commands_and_options() -> None:
    words = {"COMP_WORDS": "loader re", "COMP_CWORD": "1", "_LOADER_COMPLETE": "bash_complete"}
    ended = subprocess.run(
        [sys.executable, "-c", "from loader.cli import main; main()"],
        env={**os.environ, **words}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ended.stdout.split() == ["plain,reconcile", "plain,report", "plain,retry"]
