"""The command line: the group of commands, flags in, exit code out. A command is loader/commands/<name>.py."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from itertools import pairwise
from typing import TYPE_CHECKING

import click

from loader import __version__
from loader.errors import Interrupted, LoaderError
from loader.invocation import Invocation, end_now, global_options
from loader.report.output import speak_utf8

if TYPE_CHECKING:
    from loader.context import Sources

COMMANDS: Mapping[str, str] = {
    "init": "Set up the project: ask for the warehouse, GP's database and CRM, try each, and write `.env`.",
    "check": "Preflight: warehouse, mapping against CRM's live metadata, privileges, SOP mode, cross-references.",
    "plan": "Show what a push would do, field by field, old → new.",
    "show": "Show what a plan file would have a push write, field by field.",
    "push": "Create and update records in CRM until they equal the staged ones.",
    "status": "Show how the last runs went and what waits in the retry queue.",
    "report": "Write a page for the browser: the last run, the trend, the queue, what blocks how much money.",
    "retry": "The retry queue: records that could not be pushed, and why.",
    "explain": "Show one record column by column: GP's value, the rule, the staged value, CRM's value, and what"
    " happened to it.",
    "undo": "Put the records that a run changed back to what CRM held before.",
    "reconcile": "Read the staged records back from CRM into the warehouse, and count the differences.",
    "sop-mode": "The organisation's sales order processing integration: whether CRM keeps GP's amounts.",
    "xref": "The cross-reference seeds: GP's codes and CRM's options.",
    "driver": "Print the ODBC driver that the loader uses for SQL Server, for dbt to use the same.",
    "emulator": "Run the local CRM of the demo, until interrupted.",
    "sample": "GP tables of your own in a DuckDB file, to try the project out.",
    "demo": "Build the sample company, push it to an empty local CRM and check the result value by value.",
}
"""The commands with the first sentence of their help, so that `loader --help` need not import their modules."""


class _Modules(MutableMapping[str, click.Command]):
    """The commands by name. A command's module is imported when the command is used."""

    def __init__(self) -> None:
        self._loaded: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._loaded:
            if name not in COMMANDS:
                raise KeyError(name)
            module = name.replace("-", "_")
            self._loaded[name] = getattr(import_module(f"loader.commands.{module}"), module)
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)

    def __contains__(self, name: object) -> bool:
        return name in COMMANDS

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._loaded[name]


class _Commands(click.Group):
    """Lists the commands in COMMANDS."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        listed = click.Group(commands=[click.Command(name, help=text) for name, text in COMMANDS.items()])
        listed.format_commands(ctx, formatter)


@click.group(
    cls=_Commands,
    commands=_Modules(),
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, "--version", message="loader %(version)s")
@global_options
@click.pass_context
def cli(context: click.Context) -> None:
    """Push GP's open sales orders, as dbt staged them, to Dynamics 365 Sales.

    \b
    Exit codes: 0 in sync, 1 error, 2 usage or settings, 3 orders blocked or failed,
    4 changes planned (plan --detailed-exitcode), 5 CRM or warehouse not reached,
    6 access refused, 7 stopped by a guard, 130/143 interrupted.
    """
    invocation = context.ensure_object(Invocation)
    if context.invoked_subcommand is None:
        if invocation.output.json:
            raise click.UsageError("Missing command.", context)
        click.echo(context.get_help())


def main() -> None:
    """The console script: runs a command and exits with its exit code."""
    gc.set_threshold(100_000, 50, 1_000)  # plans contain no reference cycles, and there are many plans
    speak_utf8()
    exit_code = run_command(sys.argv[1:])
    if exit_code >= 128:
        end_now(exit_code)
    sys.exit(exit_code)


def run_command(arguments: list[str], sources: Sources | None = None) -> int:
    """Runs one command line and returns its exit code. Raises nothing."""
    invocation = Invocation(sources)
    invocation.output.json = "--json" in arguments
    if "--log-format=json" in arguments or ("--log-format", "json") in pairwise(arguments):
        invocation.output.log_as_json()  # before anything can go wrong
    try:
        invocation.output.command = " ".join(_command_words(arguments))
        cli.main(arguments, prog_name="loader", standalone_mode=False, obj=invocation)
    except LoaderError as error:
        invocation.output.error(error)
    except click.ClickException as error:
        invocation.output.error(_UsageProblem(error))
    except (KeyboardInterrupt, click.Abort):
        invocation.output.error(Interrupted(invocation.signal or signal.SIGINT))
    except Exception as error:
        invocation.output.crash(error)
    finally:
        invocation.output.close()
    return invocation.output.exit_code


class _UsageProblem(LoaderError):
    code = "usage"
    exit_code = 2

    def __init__(self, error: click.ClickException) -> None:
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "loader"
        super().__init__(error.format_message(), f"`{path} --help` shows the usage.")


def _command_words(arguments: list[str]) -> list[str]:
    """The command's name from the command line, for the JSON envelope."""
    words = [word for word in arguments if not word.startswith("-")]
    known: click.Command = cli
    found: list[str] = []
    for word in words:
        if isinstance(known, click.Group) and word in known.commands:
            known = known.commands[word]
            found.append(word)
    return found
