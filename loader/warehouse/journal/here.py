"""This machine, as the journal tells it from others: its clock, its name and its processes."""

from __future__ import annotations

import datetime as dt
import os
import re
import socket
from collections.abc import Callable

import psutil

Clock = Callable[[], dt.datetime]


def utc_now() -> dt.datetime:
    """Now, UTC, naive, in milliseconds: what both databases store and give back unchanged."""
    return milliseconds(dt.datetime.now(dt.timezone.utc).replace(tzinfo=None))


def milliseconds(instant: dt.datetime) -> dt.datetime:
    """Without what is finer."""
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def this_host() -> str:
    """This machine; a container's own process numbers are told apart from the host's."""
    name = socket.gethostname()[:100]
    try:
        namespace = re.sub(r"\D", "", os.readlink("/proc/self/ns/pid"))
    except OSError:
        return name
    return name if namespace in ("", "4026531836") else f"{name}#{namespace}"


def process_exists(pid: int) -> bool:
    """Whether a process of this number runs on this machine."""
    try:
        return bool(psutil.pid_exists(pid))
    except OverflowError:  # larger than any number of a process here
        return True
