"""What a command says: data on stdout, talk on stderr, one JSON envelope with --json.

With --log-format json stderr holds one JSON object a line. What the loader logs (`logging`, below "loader") is shown
only then: as text it would say again what stdout says.
"""

from __future__ import annotations

import datetime as dt
import io
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeAlias

import click
import simplejson

from loader.errors import LoaderError

ENVELOPE_VERSION = 1

Entries: TypeAlias = "tuple[str, Iterable[str]]"
"""A list of the envelope's data that may be too long for memory: its name, and its entries in JSON."""

_log = logging.getLogger("loader")
_log.addHandler(logging.NullHandler())


def speak_utf8() -> None:
    """Windows gives a file or a pipe the system's code page, which lacks half of what orders and messages hold."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not stream.isatty():
            stream.reconfigure(encoding="utf-8")


class JsonLines(logging.Formatter):
    """A record as one line of JSON. A run's id, once told, stays on the lines that follow."""

    _run_id: str | None = None

    def format(self, record: logging.LogRecord) -> str:
        self._run_id = getattr(record, "run_id", self._run_id)
        line = {
            "time": dt.datetime.fromtimestamp(record.created, dt.timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "run_id": self._run_id,
            "order": getattr(record, "order", None),
            "message": record.getMessage(),
        }
        for name in ("outcome", "reason", "code", "remedy"):
            if getattr(record, name, None):
                line[name] = getattr(record, name)
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return simplejson.dumps(line, ensure_ascii=False)


class _Stderr(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        click.echo(self.format(record), err=True)


@dataclass
class Output:
    """Flags that decide how much is said, and where."""

    json: bool = False
    quiet: bool = False
    verbose: bool = False
    command: str = ""
    _handler: logging.Handler | None = None

    def log_as_json(self) -> None:
        """From now on stderr is JSON lines, those of libraries included."""
        if self._handler is None:
            self._handler = _Stderr()
            self._handler.setFormatter(JsonLines())
            self._handler.addFilter(lambda record: not self.quiet or record.levelno >= logging.WARNING)
            logging.getLogger().addHandler(self._handler)
            logging.captureWarnings(True)
            _log.setLevel(logging.INFO)

    def close(self) -> None:
        if self._handler is not None:
            logging.getLogger().removeHandler(self._handler)
            logging.captureWarnings(False)
            _log.setLevel(logging.NOTSET)
            self._handler = None

    @property
    def logs_json(self) -> bool:
        return self._handler is not None

    def data(
        self,
        content: Any,
        text: Callable[[], Iterable[str]],
        success: bool = True,
        entries: Entries | None = None,
    ) -> None:
        """The command's result: the envelope, or its lines of text. `entries` are added to the envelope's data."""
        if self.json:
            self._envelope({"success": success, "data": content}, entries)
            return
        lines = iter(text())
        while some := list(islice(lines, 1000)):
            click.echo("\n".join(some))

    def talk(self, text: str) -> None:
        if self.logs_json:
            _log.info(text)
        elif not self.quiet:
            click.echo(text, err=True)

    def error(self, error: LoaderError, content: Any = None, entries: Entries | None = None) -> None:
        if self.logs_json:
            _log.error(error.message, extra={"code": error.code, "remedy": error.remedy})
        if self.json:
            details = {"code": error.code, "message": error.message, "remedy": error.remedy}
            self._envelope({"success": False, "error": details, **({"data": content} if content else {})}, entries)
        if self.json or self.logs_json:
            return
        click.echo(click.style("Error: ", fg="red", bold=True) + error.message, err=True)
        if error.remedy:
            click.echo(f"       {error.remedy}", err=True)

    @contextmanager
    def progress(self, label: str) -> Iterator[Callable[[int, int], None]]:
        """A bar on a terminal, a line every few seconds elsewhere."""
        if self.quiet:
            yield lambda done, total: None
        elif sys.stderr.isatty() and not self.logs_json:
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

    def _envelope(self, content: dict[str, Any], entries: Entries | None = None) -> None:
        envelope = {"version": ENVELOPE_VERSION, "command": self.command, **content}
        text = simplejson.dumps(envelope, use_decimal=True, ensure_ascii=False, default=str)
        if entries is None:
            click.echo(text)
            return
        name, lines = entries
        click.echo(f'{text.removesuffix("}}")}, "{name}": [', nl=False)
        for number, line in enumerate(lines):
            click.echo((", " if number else "") + line, nl=False)
        click.echo("]}}")
