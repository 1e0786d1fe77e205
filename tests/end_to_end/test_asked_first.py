"""`undo` and `sop-mode` say what they will do, and ask; scripts say --yes."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress

import pytest

from tests.conftest import PROJECT, Workbench


def at_a_terminal(bench: Workbench, *arguments: str, answer: str) -> tuple[int, str]:
    """Exit code and everything that the terminal shows. Answers once."""
    pty = pytest.importorskip("pty", reason="no pseudo-terminals here")
    mine, its = pty.openpty()
    command = [sys.executable, "-m", "loader", *arguments]
    bench.release()
    process = subprocess.Popen(command, cwd=PROJECT, env=bench.environ, stdin=its, stdout=its, stderr=its)
    os.close(its)
    shown = b""
    with suppress(OSError):  # Linux reports the end of a terminal as an error
        while some := os.read(mine, 4096):
            if b"[y/N]" in (shown := shown + some) and answer:
                os.write(mine, f"{answer}\n".encode())
                answer = ""
    os.close(mine)
    return process.wait(60), shown.decode().replace("\r\n", "\n")


def test_without_a_terminal_they_need_yes(bench: Workbench) -> None:
    for command in (["undo", "--run", "3f2a"], ["sop-mode", "enable"], ["sop-mode", "disable"]):
        ended = bench.loader(*command)
        assert (ended.exit_code, ended.error["code"]) == (2, "usage"), command
        assert "no terminal" in ended.error["message"]
        assert "--yes" in ended.error["remedy"]
    assert bench.crm.requests == []


def test_undo_shows_what_it_would_restore_and_does_it_only_when_told_to(bench: Workbench) -> None:
    run_id = str(bench.loader("push", "--order", "ORDST2228").data["run_id"])
    exit_code, shown = at_a_terminal(bench, "undo", "--run", run_id, answer="n")
    assert exit_code == 1, shown
    assert "freightamount: 30.00 → 0.00" in shown
    assert f"Undo of run {run_id[:8]} (push --order, " in shown
    assert f"1 record in {bench.crm.url} would be restored, 0 left as they are. Go on? [y/N]" in " ".join(shown.split())
    assert "Nothing was written." in shown
    assert bench.loader("status").data["runs"][0]["command"] == "push --order"
    exit_code, shown = at_a_terminal(bench, "undo", "--run", run_id, answer="y")
    assert exit_code == 0, shown
    assert bench.loader("status").data["runs"][0]["command"] == "undo"


def test_nothing_to_restore_needs_no_question(bench: Workbench) -> None:
    run_id = str(bench.loader("push", "--order", "ORDST2240").data["run_id"])
    exit_code, shown = at_a_terminal(bench, "undo", "--run", run_id, answer="")
    assert exit_code == 3, shown
    assert "Go on?" not in shown
    assert "--cancel-created cancels it" in shown


def test_the_switch_of_the_organisation_says_whom_it_concerns(bench: Workbench) -> None:
    exit_code, shown = at_a_terminal(bench, "sop-mode", "enable", "--integration-user", answer="n")
    words = " ".join(shown.split())
    assert exit_code == 1, shown
    assert f"SOP integration of {bench.crm.url} is turned on for everybody who uses it" in words
    assert "is marked as an integration user. Go on? [y/N]" in words
    assert not [request for request in bench.crm.requests if request.writes]
