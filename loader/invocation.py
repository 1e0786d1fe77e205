"""One call of the command line: the flags of every command, signals, and the project that it works with."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar

import click

from loader.errors import Declined, Interrupted, UsageError
from loader.report.output import Output

if TYPE_CHECKING:  # imported when a command runs, because help needs no warehouse
    from loader.context import Context, Sources

F = TypeVar("F", bound=Callable[..., Any])


class Invocation:
    """The global flags, given before or after the command's name."""

    def __init__(self, sources: Sources | None = None) -> None:
        self.sources = sources
        self.target: str | None = None
        self.profiles_dir: Path | None = None
        self.project_dir = Path(".")
        self.output = Output()
        self.signal: int | None = None
        self._finishes = False

    @contextmanager
    def context(self, access: Literal["read", "write", "push"] = "read", **flags: object) -> Iterator[Context]:
        """The command's project, warehouse and CRM."""
        self.output.doing("Starting")
        from loader.context import Context, Sources
        from loader.environment import read_environ

        context = Context(
            self.project_dir,
            self.profiles_dir,
            self.target,
            flags,
            read_environ(self.project_dir),
            self.sources or Sources(),
            self.output.talk,
            access,
            self.output.doing,
        )
        with context, self._signals(context):
            yield context

    def must_confirm(self, yes: bool) -> bool:
        """Whether the user has to be asked before something is done. Raises UsageError if nobody can be asked."""
        if not yes and (self.output.json or not sys.stdin.isatty()):
            raise UsageError(
                f"loader {self.output.command} asks before it writes, and there is no terminal to ask at.",
                "Add --yes to go on without being asked.",
            )
        return not yes

    def confirm(self, question: str) -> None:
        """Asks at the terminal whether to go on. Raises Declined."""
        if not click.confirm(question, err=True):
            raise Declined("Nothing was written.")

    @contextmanager
    def stoppable(self) -> Iterator[None]:
        """Within the block, a signal asks the run to finish what it is doing and then stop."""
        self._finishes = True
        try:
            yield
        finally:
            self._finishes = False

    @contextmanager
    def _signals(self, context: Context) -> Iterator[None]:
        """The first signal stops the run. The second ends the process at once, even if threads are still waiting."""

        def stop(number: int, frame: object) -> None:
            if self.signal is not None:
                self._leave(number)
            self.signal = number
            context.stop.set()
            if not self._finishes:
                raise KeyboardInterrupt
            self.output.talk("Stopping after the records that are being written. A second signal stops at once.")

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _leave(self, number: int) -> NoReturn:
        """Ends the process. The next run continues what this one did not finish: a run may die at any moment."""
        with suppress(Exception):  # the output may be in the middle of a line
            self.output.error(Interrupted(number, "Interrupted at once."))
        end_now(128 + number)


def end_now(exit_code: int) -> NoReturn:
    """Ends the process without waiting for threads that are waiting for a server."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(exit_code)


def global_options(command: F) -> F:
    """The same flags before and after the command's name."""

    def remember(set_: Callable[[Invocation, Any], None]) -> Callable[[click.Context, click.Parameter, Any], None]:
        def callback(context: click.Context, parameter: click.Parameter, value: Any) -> None:
            if value not in (None, False):
                set_(context.ensure_object(Invocation), value)

        return callback

    directory = click.Path(file_okay=False, path_type=Path)
    options = [
        click.option("--target", metavar="NAME", help="dbt target. The default is the profile's.", expose_value=False,
                     callback=remember(lambda i, v: setattr(i, "target", v))),
        click.option("--profiles-dir", type=directory, help="Directory with profiles.yml.", expose_value=False,
                     callback=remember(lambda i, v: setattr(i, "profiles_dir", v))),
        click.option("--project-dir", type=directory, help="Directory with dbt_project.yml.", expose_value=False,
                     callback=remember(lambda i, v: setattr(i, "project_dir", v))),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.", expose_value=False,
                     callback=remember(lambda i, v: setattr(i.output, "json", True))),
        click.option("-v", "--verbose", is_flag=True, help="Say more.", expose_value=False,
                     callback=remember(lambda i, v: setattr(i.output, "verbose", True))),
        click.option("-q", "--quiet", is_flag=True, help="Print only the result.", expose_value=False,
                     callback=remember(lambda i, v: setattr(i.output, "quiet", True))),
        click.option("--log-format", type=click.Choice(["text", "json"]), expose_value=False,  # see run_command
                     help="Format of stderr. The default is text."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


pass_invocation = click.make_pass_decorator(Invocation, ensure=True)


def command(name: str) -> Callable[[Callable[..., Any]], click.Command]:
    """A command with the global flags. Its function gets the Invocation as first argument."""

    def decorate(function: Callable[..., Any]) -> click.Command:
        return click.command(name)(global_options(pass_invocation(function)))

    return decorate


def group(name: str) -> Callable[[Callable[[], None]], click.Group]:
    """A group of commands with the global flags."""

    def decorate(function: Callable[[], None]) -> click.Group:
        return click.group(name)(global_options(function))

    return decorate


yes_option = click.option("--yes", is_flag=True, help="Do not ask first, as scripts need it.")
order_option = click.option(
    "--order", "orders", metavar="KEY", multiple=True, help="Only the record with this key. Can be repeated."
)
table_option = click.option(
    "--table", "tables", metavar="TABLE", multiple=True, help="Only this CRM table, such as account. Can be repeated."
)
