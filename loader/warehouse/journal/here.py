"""This machine, as the journal distinguishes it from others: its clock, its name and its processes."""

from __future__ import annotations

import datetime as dt
import os
import re
import socket
from collections.abc import Callable

import psutil

Clock = Callable[[], dt.datetime]


def utc_now() -> dt.datetime:
    """The current time, UTC, naive, in milliseconds, which both databases store and return unchanged."""
    return milliseconds(dt.datetime.now(dt.timezone.utc).replace(tzinfo=None))


def milliseconds(instant: dt.datetime) -> dt.datetime:
    """The moment without fractions of a millisecond."""
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def this_host() -> str:
    """The name of this machine. It differs between a container and its host, which number processes independently."""
    name = socket.gethostname()[:100]
    try:
        namespace = re.sub(r"\D", "", os.readlink("/proc/self/ns/pid"))
    except OSError:
        return name
    return name if namespace in ("", "4026531836") else f"{name}#{namespace}"


def process_exists(pid: int) -> bool:
    """Whether a process with this number is running on this machine."""
    try:
        return bool(psutil.pid_exists(pid))
    except OverflowError:  # larger than any number of a process here
        return True
