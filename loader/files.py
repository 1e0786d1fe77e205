"""Files that hold customers' names and addresses: plans, reports, DuckDB files. New ones are their owner's alone.

A file that is there keeps its permissions: somebody may have opened it for others on purpose.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

PRIVATE = 0o077
"""The permissions that others do not get."""

_lock = threading.Lock()
_depth = 0
_mask = 0


def open_private(path: Path) -> TextIO:
    """Opens `path` for writing from the start, in UTF-8 and with plain line feeds. Raises OSError."""
    return open(
        path, "w", encoding="utf-8", newline="\n", opener=lambda name, flags: os.open(name, flags, 0o666 & ~PRIVATE)
    )


@contextmanager
def private_files() -> Iterator[None]:
    """Whatever this process makes within the block is private: DuckDB makes its files, and logs beside them, itself."""
    global _depth, _mask
    with _lock:
        if _depth == 0:
            _mask = os.umask(0)
            os.umask(_mask | PRIVATE)
        _depth += 1
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0:
                os.umask(_mask)
