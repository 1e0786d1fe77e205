"""What a command says: data on stdout, talk on stderr, one JSON envelope with --json."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import click
import simplejson

from loader.errors import LoaderError

ENVELOPE_VERSION = 1


@dataclass
class Output:
    """Flags that decide how much is said, and where."""

    json: bool = False
    quiet: bool = False
    verbose: bool = False
    command: str = ""

    def data(self, content: Any, text: Callable[[], Iterator[str]], success: bool = True) -> None:
        """The command's result: the envelope, or its lines of text."""
        if self.json:
            self._envelope({"success": success, "data": content})
            return
        for line in text():
            click.echo(line)

    def talk(self, text: str) -> None:
        if not self.quiet:
            click.echo(text, err=True)

    def error(self, error: LoaderError, content: Any = None) -> None:
        if self.json:
            details = {"code": error.code, "message": error.message, "remedy": error.remedy}
            self._envelope({"success": False, "error": details, **({"data": content} if content else {})})
            return
        click.echo(click.style("Error: ", fg="red", bold=True) + error.message, err=True)
        if error.remedy:
            click.echo(f"       {error.remedy}", err=True)

    @contextmanager
    def progress(self, label: str) -> Iterator[Callable[[int, int], None]]:
        """A bar on a terminal, a line every few seconds elsewhere."""
        if self.quiet:
            yield lambda done, total: None
        elif sys.stderr.isatty():
            yield from self._bar(label)
        else:
            yield self._lines(label)

    def _bar(self, label: str) -> Iterator[Callable[[int, int], None]]:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(label, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)

    def _lines(self, label: str) -> Callable[[int, int], None]:
        import time

        last = time.monotonic()

        def show(done: int, total: int) -> None:
            nonlocal last
            if time.monotonic() - last >= 5:
                last = time.monotonic()
                self.talk(f"{label}: {done:,} of {total:,} orders")

        return show

    def _envelope(self, content: dict[str, Any]) -> None:
        envelope = {"version": ENVELOPE_VERSION, "command": self.command, **content}
        click.echo(simplejson.dumps(envelope, use_decimal=True, ensure_ascii=False, default=str))
