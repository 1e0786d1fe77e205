"""A command run to its end: how long it took, by the clock and by its processor, and its memory at the peak."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


class CommandFailed(RuntimeError):
    """A measured command did not end as it should."""


@dataclass(frozen=True)
class Ran:
    """`seconds` of wall clock, `cpu` seconds of its own processes, `peak` memory in MB, the end of the output."""

    seconds: float
    cpu: float
    peak: float
    output: str


def run(command: Sequence[str], environ: Mapping[str, str]) -> Ran:
    """Runs a command in the project's directory. Raises CommandFailed unless it exits with 0."""
    with tempfile.TemporaryDirectory() as folder:
        measured, output = Path(folder) / "measured.json", Path(folder) / "output.txt"
        with output.open("wb") as told:
            ended = subprocess.run(
                [sys.executable, str(PROJECT / "bench" / "launcher.py"), str(measured), *command],
                cwd=PROJECT,
                env={**os.environ, **environ},
                stdout=told,
                stderr=subprocess.STDOUT,
                check=False,
            )
        text = output.read_text(encoding="utf-8", errors="replace")[-4000:]
        if ended.returncode:
            raise CommandFailed(f"{' '.join(command)} ended with {ended.returncode}:\n{text}")
        figures = json.loads(measured.read_text(encoding="utf-8"))
    return Ran(figures["seconds"], figures["cpu"], figures["peak"] * _MAXRSS_UNIT / 1e6, text)
