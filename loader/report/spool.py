"""Collects what a command says about each order until it knows how it ended; in a temporary file if it is much."""

from __future__ import annotations

from collections.abc import Iterator
from tempfile import SpooledTemporaryFile
from typing import Any

from loader.visible import json_text

IN_MEMORY = 8_000_000
"""Bytes; what is longer goes to a temporary file."""


class Spool:
    """Lines of text, in the order in which they were added; kept in a temporary file if they are many."""

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(IN_MEMORY, "w+", encoding="utf-8", errors="replace", newline="\n")  # noqa: SIM115

    def add(self, line: str) -> None:
        self._file.write(line.replace("\n", "\\n") + "\n")

    def __iter__(self) -> Iterator[str]:
        self._file.seek(0)
        for line in self._file:
            yield line.rstrip("\n")


class JsonSpool(Spool):
    """Entries of a JSON document, each in JSON."""

    def add_entry(self, entry: Any) -> None:
        self.add(json_text(entry))
