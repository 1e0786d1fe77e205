"""A command run to its end: how long it took, how much memory it had at its peak."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


class CommandFailed(RuntimeError):
    """A measured command did not end as it should."""


@dataclass(frozen=True)
class Ran:
    """`seconds` of wall clock, `cpu` seconds of user and system time, `peak` memory in MB, the end of the output."""

    seconds: float
    cpu: float
    peak: float
    output: str


def run(command: Sequence[str], environ: Mapping[str, str]) -> Ran:
    """Runs a command in the project's directory. Raises CommandFailed unless it exits with 0."""
    with tempfile.TemporaryFile() as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=PROJECT, env={**os.environ, **environ}, stdout=output, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(max(0, output.seek(0, os.SEEK_END) - 4000))
        told = output.read().decode("utf-8", "replace")
    if process.returncode:
        raise CommandFailed(f"{' '.join(command)} ended with {process.returncode}:\n{told}")
    peak = usage.ru_maxrss * _MAXRSS_UNIT / 1e6
    return Ran(seconds, usage.ru_utime + usage.ru_stime, peak, told)
