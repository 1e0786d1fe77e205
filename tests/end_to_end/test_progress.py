"""On a terminal a command says what it is doing, and leaves no trace of it; elsewhere it says nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import PROJECT, Workbench
from tests.terminal import at_a_terminal
from tests.thorough import some

SLOW = 0.6
"""Seconds that the local CRM takes for a request: longer than the line waits before it appears."""


@pytest.mark.parametrize("command", some(["push", "plan"], 2))
def test_reading_comparing_and_sending_are_told(bench: Workbench, command: str) -> None:
    bench.crm.faults.latency(SLOW)
    ended = at_a_terminal(
        [sys.executable, "-m", "loader", command, "--order", "ORDST2226"], cwd=PROJECT, env=bench.environ
    )
    assert ended.exit_code == 0, ended.stderr
    for text in ("Signing in to CRM", "Reading CRM's metadata", "Looking up in CRM what orders name"):
        assert text in ended.stderr, text
    assert ended.longest_silence < 2
    assert ended.stderr.rstrip("\r\n").endswith("\x1b[2K"), "the line is taken away"
    assert "Signing in" not in ended.stdout


def test_nothing_is_told_where_there_is_no_terminal(bench: Workbench) -> None:
    bench.crm.faults.delay_before_commit(SLOW, 2)
    command = [sys.executable, "-m", "loader", "plan", "--order", "ORDST2226"]
    ended = subprocess.run(command, cwd=PROJECT, env=bench.environ, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_quiet_command_tells_nothing(bench: Workbench) -> None:
    bench.crm.faults.delay_before_commit(SLOW, 2)
    ended = at_a_terminal([sys.executable, "-m", "loader", "check", "-q"], cwd=PROJECT, env=bench.environ)
    assert ended.stderr == ""
