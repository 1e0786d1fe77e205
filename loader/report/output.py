"""What a command says: data on stdout, talk on stderr, one JSON envelope with --json.

With --log-format json, stderr has one JSON object per line. What the loader logs (`logging`, below "loader") is shown
only then, because as text it would repeat what stdout says.
"""

from __future__ import annotations

import datetime as dt
import io
import logging
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeAlias

import click

from loader.errors import LoaderError, Unexpected
from loader.report.live import Live
from loader.secrets import redact
from loader.visible import json_text, shown, styled

ENVELOPE_VERSION = 2

Entries: TypeAlias = "tuple[str, Iterable[str]]"
"""A list of the envelope's data that may be too long for memory: its name, and its entries in JSON."""

Answer: TypeAlias = "tuple[Any, Callable[[], Iterator[str]]]"
"""What a command answers: content for --json, and the same as lines."""

_log = logging.getLogger("loader")
_log.addHandler(logging.NullHandler())


def speak_utf8() -> None:
    """Windows gives a file or a pipe the system's code page, which lacks half of what orders and messages hold."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not stream.isatty():
            stream.reconfigure(encoding="utf-8")


class JsonLines(logging.Formatter):
    """A log record as one line of JSON. Once a run's id is known, all later lines have it."""

    _run_id: str | None = None

    def format(self, record: logging.LogRecord) -> str:
        self._run_id = getattr(record, "run_id", self._run_id)
        line = {
            "time": dt.datetime.fromtimestamp(record.created, dt.timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "run_id": self._run_id,
            "table": getattr(record, "table", None),
            "key": getattr(record, "key", None),
            "message": redact(record.getMessage()),
        }
        for name in ("outcome", "reason", "code", "remedy"):
            if getattr(record, name, None):
                line[name] = getattr(record, name)
        if record.exc_info:
            line["trace"] = redact(self.formatException(record.exc_info))
        return json_text(line)


class _Text(logging.Formatter):
    """What libraries warn of. Without any handler Python itself shows it."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(shown, redact(super().format(record)).split("\n")))


if logging.lastResort is not None:
    logging.lastResort.setFormatter(_Text())


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
    exit_code: int = 0
    """What the process ends with; only a verdict or an error makes it another than 0."""
    _handler: logging.Handler | None = None
    _live: Live = field(default_factory=Live)

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
        self._live.stop()
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
        verdict: LoaderError | None = None,
        entries: Entries | None = None,
    ) -> None:
        """The command's result: the envelope, or its lines of text. `entries` are added to the envelope's data.

        `verdict` is why the result ends the command with another exit code than 0: the envelope's error. The lines of
        text say it already.
        """
        self._live.stop()
        if verdict is not None:
            self.exit_code = verdict.exit_code
        if self.json:
            self._envelope(content, verdict, entries)
            return
        lines = iter(text())
        while some := list(islice(lines, 1000)):
            click.echo("\n".join(map(shown, some)))

    def document(self, text: str) -> None:
        """A whole file on stdout, as it is."""
        self._live.stop()
        click.echo(text, nl=False)

    def line(self, text: str) -> None:
        """One line on stdout, before the command has ended."""
        self._live.stop()
        click.echo(shown(text))

    def talk(self, text: str) -> None:
        text = redact(text)
        self._live.stop()
        if self.logs_json:
            _log.info(text)
        elif not self.quiet:
            click.echo(shown(text), err=True)

    def error(
        self,
        error: LoaderError,
        content: Any = None,
        entries: Entries | None = None,
        cause: BaseException | None = None,
    ) -> None:
        """What ended the command early, beside the data that there is all the same. `cause` shows its stack trace."""
        self._live.stop()
        self.exit_code = error.exit_code
        if self.logs_json:
            _log.error(error.message, extra={"code": error.code, "remedy": error.remedy}, exc_info=cause)
        elif cause is not None:
            for line in redact("".join(traceback.format_exception(cause))).rstrip("\n").split("\n"):
                click.echo(shown(line), err=True)
        if self.json:
            self._envelope(content, error, entries)
        if self.json or self.logs_json:
            return
        first, *more = error.message.split("\n")
        click.echo(shown(styled("Error: ", "red", bold=True) + first), err=True)
        for line in filter(None, (*more, error.remedy)):
            click.echo("       " + shown(line), err=True)

    def crash(self, bug: Exception) -> None:
        """An exception that nobody expected is an error like any other."""
        self.error(Unexpected(f"{type(bug).__name__}: {bug}"), cause=bug)

    def doing(self, text: str, done: int = 0, total: int = 0) -> None:
        """Says on a terminal what the command is doing, how much of it is done and how much there is to do."""
        if not (self.quiet or self.logs_json) and sys.stderr.isatty():
            self._live.show(text, done, total)

    @contextmanager
    def progress(self, label: str) -> Iterator[Callable[[int, int], None]]:
        """A bar on a terminal, a line of the log every few seconds with --log-format json, nothing elsewhere."""
        self.doing(label)
        try:
            yield self._lines(label) if self.logs_json else lambda done, total: self.doing(label, done, total)
        finally:
            self._live.stop()

    def _lines(self, label: str) -> Callable[[int, int], None]:
        import time

        last = time.monotonic()

        def show(done: int, total: int) -> None:
            nonlocal last
            if time.monotonic() - last >= 5:
                last = time.monotonic()
                self.talk(f"{label}: {done:,} of {total:,} records")

        return show

    def _envelope(self, content: Any, error: LoaderError | None, entries: Entries | None) -> None:
        envelope = {"version": ENVELOPE_VERSION, "command": self.command, "success": error is None}
        if error is not None:
            envelope["error"] = {"code": error.code, "message": error.message, "remedy": error.remedy}
        if content is not None or error is None:
            envelope["data"] = content
        text = json_text(envelope)
        if entries is None or not content:
            click.echo(text)
            return
        name, lines = entries
        click.echo(f'{text.removesuffix("}}")}, "{name}": [', nl=False)
        for number, line in enumerate(lines):
            click.echo((", " if number else "") + line, nl=False)
        click.echo("]}}")
