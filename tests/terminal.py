"""A command whose stderr is a terminal."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path


@dataclass(frozen=True)
class AtTerminal:
    exit_code: int
    stdout: str
    stderr: str
    """All that was drawn, with the terminal's escapes."""
    longest_silence: float
    """Seconds between two drawings."""


def at_a_terminal(command: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> AtTerminal:
    """Runs a command to its end."""
    import pty

    ours, theirs = pty.openpty()
    drawn: list[bytes] = []
    moments: list[float] = []

    def watch() -> None:
        while True:
            try:
                block = os.read(ours, 65536)
            except OSError:  # the other end is closed
                return
            if not block:
                return
            drawn.append(block)
            moments.append(time.monotonic())

    watcher = threading.Thread(target=watch, daemon=True)
    with subprocess.Popen(
        command, cwd=cwd, env={**env, "TERM": "xterm-256color", "COLUMNS": "100"}, stdout=subprocess.PIPE, stderr=theirs
    ) as process:
        os.close(theirs)
        watcher.start()
        assert process.stdout is not None
        stdout = process.stdout.read()
    watcher.join(10)
    os.close(ours)
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    return AtTerminal(
        process.returncode, stdout.decode(), b"".join(drawn).decode("utf-8", "replace"), max(gaps, default=0.0)
    )


def drawn_at_a_terminal(command: Sequence[str], columns: int, *, cwd: Path, env: Mapping[str, str]) -> str:
    """What a command shows on a terminal so many columns wide, without the colours."""
    import fcntl
    import pty
    import re
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    blocks: list[bytes] = []

    def watch() -> None:
        try:
            while block := os.read(ours, 65536):
                blocks.append(block)
        except OSError:  # the other end is closed
            return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        done = subprocess.run(command, cwd=cwd, env=env, stdout=theirs, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(theirs)
    watcher.join(10)
    os.close(ours)
    assert done.returncode == 0, done.stderr.decode()
    return re.sub(r"\x1b\[[0-9;]*m", "", b"".join(blocks).decode()).replace("\r\n", "\n")
