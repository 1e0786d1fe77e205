"""The command line: flags in, exit code out. What a command does is in loader/commands."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar

import click

from loader import __version__
from loader.errors import CheckFailed, Interrupted, LoaderError, NotWell, RecordsWaiting
from loader.report.output import Output, speak_utf8

if TYPE_CHECKING:
    from loader.commands.check import Finding
    from loader.commands.push import PushReport
    from loader.commands.told import PushTold
    from loader.run import Run

F = TypeVar("F", bound=Callable[..., Any])


class Invocation:
    """The global flags, wherever on the line they stood."""

    def __init__(self) -> None:
        self.target: str | None = None
        self.profiles_dir: Path | None = None
        self.project_dir = Path(".")
        self.output = Output()
        self.signal: int | None = None
        self._finishes = False

    @contextmanager
    def run(self, access: Literal["read", "write", "push"] = "read", **flags: object) -> Iterator[Run]:
        """The command's project, warehouse and CRM."""
        from loader.run import Run

        talk = self.output.talk
        run = Run(self.project_dir, self.profiles_dir, self.target, flags, access=access, talk=talk)
        with run, self._signals(run):
            yield run

    @contextmanager
    def stoppable(self) -> Iterator[None]:
        """A signal asks what is done within to finish what it has in hand."""
        self._finishes = True
        try:
            yield
        finally:
            self._finishes = False

    @contextmanager
    def _signals(self, run: Run) -> Iterator[None]:
        """The first signal stops the run, the second ends the process at once, whatever a thread still waits for."""

        def stop(number: int, frame: object) -> None:
            if self.signal is not None:
                self._leave(number)
            self.signal = number
            run.stop.set()
            if not self._finishes:
                raise KeyboardInterrupt
            self.output.talk("Stopping after the orders in hand; once more to stop at once.")

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
        """What this run did not finish, the next one takes up: a run may die at any moment."""
        with suppress(Exception):  # it may be in the middle of a line
            self.output.error(Interrupted(number, "Interrupted at once."))
        end_now(128 + number)


def end_now(exit_code: int) -> NoReturn:
    """Ends the process without waiting for threads that wait for a server."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(exit_code)


def _global_options(command: F) -> F:
    """The same flags before and after the command's name."""

    def remember(set_: Callable[[Invocation, Any], None]) -> Callable[[click.Context, click.Parameter, Any], None]:
        def callback(context: click.Context, parameter: click.Parameter, value: Any) -> None:
            if value not in (None, False):
                set_(context.ensure_object(Invocation), value)

        return callback

    directory = click.Path(file_okay=False, path_type=Path)
    options = [
        click.option("--target", metavar="NAME", help="dbt target; default is the profile's.", expose_value=False,
                     callback=remember(lambda i, v: setattr(i, "target", v))),
        click.option("--profiles-dir", type=directory, help="Directory of profiles.yml.", expose_value=False,
                     callback=remember(lambda i, v: setattr(i, "profiles_dir", v))),
        click.option("--project-dir", type=directory, help="Directory of dbt_project.yml.", expose_value=False,
                     callback=remember(lambda i, v: setattr(i, "project_dir", v))),
        click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.", expose_value=False,
                     callback=remember(lambda i, v: setattr(i.output, "json", True))),
        click.option("-v", "--verbose", is_flag=True, help="Say more.", expose_value=False,
                     callback=remember(lambda i, v: setattr(i.output, "verbose", True))),
        click.option("-q", "--quiet", is_flag=True, help="Say only the result.", expose_value=False,
                     callback=remember(lambda i, v: setattr(i.output, "quiet", True))),
        click.option("--log-format", type=click.Choice(["text", "json"]), expose_value=False,  # see run_command
                     help="How stderr is written; default is text."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


pass_invocation = click.make_pass_decorator(Invocation, ensure=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", message="loader %(version)s")
@_global_options
@click.pass_context
def cli(context: click.Context) -> None:
    """Push GP's open sales orders, as dbt staged them, to Dynamics 365 Sales.

    \b
    Exit codes: 0 in sync, 1 error, 2 usage or settings, 3 orders blocked or failed,
    4 changes planned (plan --detailed-exitcode), 5 CRM or warehouse out of reach,
    6 access refused, 7 stopped by a guard, 130/143 interrupted.
    """
    context.ensure_object(Invocation)


def command(name: str) -> Callable[[Callable[..., Any]], click.Command]:
    """A command with the global flags; its function gets the Invocation first."""

    def decorate(function: Callable[..., Any]) -> click.Command:
        return cli.command(name)(_global_options(pass_invocation(function)))

    return decorate


order_option = click.option("--order", "orders", metavar="NUMBER", multiple=True, help="Only this order; repeatable.")


@command("check")
def check(invocation: Invocation) -> None:
    """Preflight: warehouse, mapping against CRM's live metadata, privileges, SOP mode, cross-references.

    \b
    Example:
        loader check
    """
    from loader.commands.check import check as checked

    with invocation.run() as run:
        findings = checked(run)
    _found(invocation, findings)


def _found(invocation: Invocation, findings: Sequence[Finding]) -> None:
    from loader.report.text import check_lines

    errors = [finding for finding in findings if finding.state == "error"]
    verdict = CheckFailed(f"{len(errors)} of {len(findings)} findings stand in the way of a push.") if errors else None
    invocation.output.data({"findings": [vars(f) for f in findings]}, lambda: check_lines(findings), verdict)


@command("plan")
@order_option
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Save the plan for `loader push FILE`.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 4 when there is something to push.")
def plan(invocation: Invocation, orders: tuple[str, ...], out: Path | None, detailed_exitcode: bool) -> None:
    """Show what a push would do, field by field, old → new. Writes nothing.

    \b
    Example:
        loader plan --order ORDST2225
        loader plan --out monday.plan && loader push monday.plan
    """
    from loader.commands import plan as planning
    from loader.report.text import PlanText
    from loader.report.told import ToldAsJson
    from loader.sync.plan import OrderPlan

    output = invocation.output
    text, entries, saved = PlanText(output.verbose), ToldAsJson(), ToldAsJson()

    def tell(each: OrderPlan) -> None:
        if output.json:
            entries.add_entry(each.entry())
        else:
            text.add(each)
        if out and each.writes:
            saved.add_entry(planning.plan_file_entry(each))

    with invocation.run() as run, output.progress("Planning") as progress:
        report = planning.plan(run, orders, progress, tell)
        if out:
            planning.write_plan_file(out, saved, run.settings.crm_url, whole=not orders)
    verdict = report.verdict if detailed_exitcode else None
    output.data(report.as_json(), lambda: text.lines(report), verdict, ("plans", entries))
    if out:
        output.talk(f"Saved to {out}. Apply it with `loader push {out}`.")


@command("push")
@click.argument("planfile", required=False, type=click.Path(dir_okay=False, path_type=Path))
@order_option
@click.option("--max-changes", metavar="N|P%", help="Stop before the first write if more orders would change.")
@click.option("--build", is_flag=True, help="Run `dbt build` first; stop if the contract's tests fail.")
@click.option("--allow-empty", is_flag=True, help="Go on where nothing is staged though CRM has open orders of ours.")
def push(
    invocation: Invocation,
    planfile: Path | None,
    orders: tuple[str, ...],
    max_changes: str | None,
    build: bool,
    allow_empty: bool,
) -> None:
    """Create and update orders in CRM until they equal the staged ones. Each order lands whole or not at all.

    With PLANFILE, apply exactly that plan; orders that moved since are refused one by one.

    \b
    Example:
        loader push --max-changes 10%
    """
    from loader.commands import push as pushing
    from loader.commands.plan import read_plan_file
    from loader.commands.told import PushTold

    told = PushTold(invocation.output.json)
    if planfile and orders:
        raise click.UsageError("A plan file already names its orders: leave out --order.")
    limit = pushing.MaxChanges.parse(max_changes) if max_changes else None
    command = "push --order" if orders else "push"
    if build:
        from loader.commands.build import build_or_stop

        with invocation.run("write") as run:
            build_or_stop(run, command, invocation.output.talk)
    with invocation.run("push") as run, invocation.stoppable():
        saved = read_plan_file(planfile, run.settings.crm_url) if planfile else None
        with invocation.output.progress("Pushing") as progress:
            report = pushing.push(
                run,
                only=orders,
                max_changes=limit,
                plan_file=saved,
                allow_empty=allow_empty,
                command=command if saved is None else "push FILE" if saved.whole else "push --order",
                progress=progress,
                tell=told.add,
            )
    _pushed(invocation, report, told)


def _pushed(invocation: Invocation, report: PushReport, told: PushTold) -> None:
    output = invocation.output
    results = ("results", told.results)
    if report.failure:
        if not output.json:
            output.data(None, lambda: told.text.lines(report))
        output.error(report.failure, report.as_json(), results)
        return
    verdict: LoaderError | None = None
    if invocation.signal is not None:
        verdict = Interrupted(invocation.signal, "Interrupted after the orders in hand.")
    elif report.in_trouble:
        verdict = RecordsWaiting(f"{report.in_trouble} of {report.staged} orders are blocked or failed.")
        if report.stale == report.in_trouble:
            text = f"{report.stale} of {report.staged} orders of the plan have moved since and were refused."
            verdict = RecordsWaiting(text, "Make the plan again and push that one.")
    output.data(report.as_json(), lambda: told.text.lines(report), verdict, results)


@command("status")
@click.option("--run", "run_id", metavar="ID", help="One run with its events; the first characters of the id will do.")
@click.option("--last", default=10, show_default=True, help="How many runs to list.")
@click.option("--max-age", metavar="TIME", help="Probe: exit with 1 if the last push ended longer ago (90m, 2h, 1d).")
@click.option("--max-blocked", metavar="N|P%", help="Probe: exit with 1 if more of its orders are blocked or failed.")
def status(invocation: Invocation, run_id: str | None, last: int, max_age: str | None, max_blocked: str | None) -> None:
    """Show how the last runs went and what waits in the retry queue.

    With --max-age or --max-blocked, say in one line whether all is well: for monitors. A last push that ended in an
    error is never well.

    \b
    Example:
        loader status --run 3f2a
        loader status --max-age 2h --max-blocked 5%
    """
    from loader.commands import status as telling

    if max_age is not None or max_blocked is not None:
        if run_id:
            raise click.UsageError("--run shows one run: leave out --max-age and --max-blocked.")
        _probed(invocation, max_age, max_blocked)
        return
    with invocation.run() as run:
        content, text = telling.one_run(run, run_id) if run_id else telling.last_runs(run, last)
    invocation.output.data(content, text)


def _probed(invocation: Invocation, max_age: str | None, max_blocked: str | None) -> None:
    from loader.commands import probe as probing

    age = probing.MaxAge.parse(max_age) if max_age is not None else None
    blocked = probing.MaxBlocked.parse(max_blocked) if max_blocked is not None else None
    with invocation.run() as run:
        verdict = probing.probe(run, age, blocked)
    invocation.output.data(verdict.content, verdict.lines, None if verdict.well else NotWell(verdict.text))


@command("report")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="File to write; - is stdout.  [default: report.html; none with --json]",
)
@click.option("--runs", default=30, show_default=True, type=click.IntRange(1, 1000), help="How many runs to chart.")
def report(invocation: Invocation, out: Path | None, runs: int) -> None:
    """Write a page for the browser: the last run, the trend, the queue, what blocks how much money.

    The page is one file that loads nothing from elsewhere. --json gives its figures.

    \b
    Example:
        loader report --out report.html
    """
    from loader.commands import report as reporting
    from loader.report.html import headline, render

    output = invocation.output
    to_stdout = str(out) == "-"
    if to_stdout and output.json:
        raise click.UsageError("--json takes stdout: name a file with --out.")
    with invocation.run() as run:
        content = reporting.report(run, runs)
    if out is None and not output.json:
        out = Path("report.html")
    if out is not None and not to_stdout:
        reporting.write(out, render(content))
        output.talk(f"Written to {out}.")
    if to_stdout:
        output.document(render(content))
    else:
        output.data(content, lambda: iter([headline(content)[1]]))


@cli.group("retry")
@_global_options
def retry() -> None:
    """The retry queue: orders that could not go, and why."""


@retry.command("list")
@click.option("--all", "everything", is_flag=True, help="Resolved entries too.")
@click.option(
    "--limit", default=1000, show_default=True, type=click.IntRange(1), help="How many, the longest waiting first."
)
@_global_options
@pass_invocation
def retry_list(invocation: Invocation, everything: bool, limit: int) -> None:
    """List what waits: since when, how often tried, what is missing.

    \b
    Example:
        loader retry list
    """
    from loader.commands import status as telling

    with invocation.run() as run:
        content, text = telling.queue(run, everything, limit)
    invocation.output.data(content, text)


@retry.command("now")
@_global_options
@pass_invocation
def retry_now(invocation: Invocation) -> None:
    """Push the orders of the queue that are open, and no others.

    \b
    Example:
        loader retry now
    """
    from loader.commands import push as pushing
    from loader.commands.told import PushTold

    told = PushTold(invocation.output.json)
    with invocation.run("push") as run, invocation.stoppable():
        orders = pushing.open_in_queue(run)
        if not orders:
            invocation.output.data({"orders": {}}, lambda: iter(["The retry queue has no open order that is staged."]))
            return
        with invocation.output.progress("Pushing") as progress:
            report = pushing.push(run, only=orders, command="retry now", progress=progress, tell=told.add)
    _pushed(invocation, report, told)


def _queue_command(name: str, state: Literal["held", "ignored", "open"], help_: str) -> None:
    @retry.command(name, help=help_)
    @click.argument("orders", nargs=-1, required=True, metavar="ORDER...")
    @_global_options
    @pass_invocation
    def set_state(invocation: Invocation, orders: tuple[str, ...]) -> None:
        from loader.commands import status as telling

        with invocation.run("write") as run:
            content, text = telling.set_state(run, orders, state)
        invocation.output.data(content, text)


_queue_command("hold", "held", "Leave orders alone until they are released; they stay in the queue.")
_queue_command("ignore", "ignored", "Leave orders alone for good; the queue no longer counts them.")
_queue_command("release", "open", "Let held or ignored orders go again, with the next push.")


@command("explain")
@click.argument("order")
def explain(invocation: Invocation, order: str) -> None:
    """Show one order column by column: GP's columns, rule, staged value, CRM's value, and what happened to it.

    Of an order of more than 100 lines it shows 100, those that differ from CRM first; -v shows all.

    \b
    Example:
        loader explain ORDST2226
    """
    from loader.commands import explain as explaining
    from loader.report.told import Told, ToldAsJson

    output = invocation.output
    text, entries = Told(), ToldAsJson()

    def tell(line: Mapping[str, Any]) -> None:
        if output.json:
            entries.add_entry(line)
        else:
            for each in explaining.line_text(line):
                text.add(each)

    with invocation.run() as run:
        content = explaining.explain(run, order, tell, every_line=output.verbose)
    output.data(content, lambda: explaining.lines(content, text), entries=("lines", entries))


@command("undo")
@click.option("--run", "run_id", metavar="ID", required=True, help="The run to take back.")
@click.option("--plan", "plan_only", is_flag=True, help="Show what would be put back; write nothing.")
@click.option("--cancel-created", is_flag=True, help="Cancel the orders that the run created.")
def undo(invocation: Invocation, run_id: str, plan_only: bool, cancel_created: bool) -> None:
    """Put the orders that a run changed back to what CRM held before. Orders changed since are refused.

    \b
    Example:
        loader undo --run 3f2a --plan
    """
    from loader.commands import undo as undoing

    finishing = nullcontext() if plan_only else invocation.stoppable()
    with invocation.run("read" if plan_only else "push") as run, finishing:
        done = undoing.undo(run, run_id, plan_only=plan_only, cancel_created=cancel_created)
    output, refused = invocation.output, done.count("refused")
    content = {"orders": [each.as_json() for each in done.orders]}
    if done.failure:
        if not output.json:
            output.data(None, lambda: undoing.lines(done.orders))
        output.error(done.failure, content)
        return
    verdict: LoaderError | None = None
    if invocation.signal is not None:
        verdict = Interrupted(invocation.signal, "Interrupted after the orders in hand.")
    elif refused:
        text = f"{refused} of {len(done.orders)} orders are not put back."
        verdict = RecordsWaiting(text, "Each says why it was refused.")
    output.data(content, lambda: undoing.lines(done.orders), verdict)


@command("reconcile")
def reconcile(invocation: Invocation) -> None:
    """Read the staged orders back from CRM into the warehouse, and count where CRM disagrees. CRM is only read.

    \b
    Example:
        loader reconcile
    """
    from loader.commands import reconcile as reconciling

    with invocation.run("write") as run, invocation.output.progress("Reading back") as progress:
        report = reconciling.reconcile(run, progress)
    invocation.output.data(report.as_json(), lambda: reconciling.lines(report))


@cli.group("sop-mode")
@_global_options
def sop_mode() -> None:
    """The organisation's sales order processing integration: whether CRM keeps GP's amounts."""


def _sop_lines(content: dict[str, Any]) -> Iterator[str]:
    yield f"SOP integration is {'on' if content['sop_integration'] else 'off'}."
    role = "an" if content["integration_user"] else "not an"
    yield f"{content['caller']} is {role} integration user. Amounts are {content['amounts']}."


@sop_mode.command("show")
@_global_options
@pass_invocation
def sop_show(invocation: Invocation) -> None:
    """Show the switch and the caller's role."""
    from loader.commands import sop_mode as switching

    with invocation.run() as run:
        content = switching.show(run)
    invocation.output.data(content, lambda: _sop_lines(content))


@sop_mode.command("enable")
@click.option("--integration-user", is_flag=True, help="Mark the caller as an integration user as well.")
@_global_options
@pass_invocation
def sop_enable(invocation: Invocation, integration_user: bool) -> None:
    """Turn SOP integration on: orders are Submitted when created, and GP's amounts are kept.

    \b
    Example:
        loader sop-mode enable --integration-user
    """
    _switch(invocation, True, integration_user)


@sop_mode.command("disable")
@_global_options
@pass_invocation
def sop_disable(invocation: Invocation) -> None:
    """Turn SOP integration off: CRM computes prices. Refused while an order is Submitted."""
    _switch(invocation, False, False)


def _switch(invocation: Invocation, on: bool, integration_user: bool) -> None:
    from loader.commands import sop_mode as switching

    with invocation.run() as run:
        content = switching.switch(run, on, integration_user)
    invocation.output.data(content, lambda: _sop_lines(content))


@cli.group("xref")
@_global_options
def xref() -> None:
    """The cross-reference seeds: GP's codes and CRM's options."""


@xref.command("check")
@_global_options
@pass_invocation
def xref_check(invocation: Invocation) -> None:
    """Find GP codes without a translation, and translations that CRM does not know.

    \b
    Example:
        loader xref check
    """
    from loader.commands import xref as checking

    with invocation.run() as run:
        findings = checking.check(run)
    _found(invocation, findings)


@command("driver")
def driver(invocation: Invocation) -> None:
    """Print the ODBC driver that the loader uses for SQL Server, for dbt to use the same.

    \b
    Example:
        export GP_CRM_SQLSERVER_DRIVER="$(loader driver --target sqlserver)"
    """
    from loader.errors import UsageError

    with invocation.run() as run:
        if run.target.type != "sqlserver":
            raise UsageError(f"Target {run.target.name!r} is {run.target.type}, which has no driver.", "Give --target.")
        from loader.warehouse.sqlserver import driver_path

        found = driver_path(run.target)
    invocation.output.data({"driver": found}, lambda: iter([found]))


@command("emulator")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    default=8765,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0 picks a free one.",
)
@click.option(
    "--snapshot", type=click.Path(dir_okay=False, path_type=Path), help="JSON file to start from and save to."
)
@click.option(
    "--save-folder",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="Where POST /_emulator/save may write; nowhere without.",
)
@click.option("--remote-control", is_flag=True, help="Let other machines use /_emulator, too; they need its token.")
def emulator(
    invocation: Invocation, host: str, port: int, snapshot: Path | None, save_folder: Path | None, remote_control: bool
) -> None:
    """Run the local CRM of the demo, until interrupted.

    It says where it is, the bearer token that it takes, and the token that /_emulator takes in the header
    X-Emulator-Token: requests there set faults, rows and switches, for tests.

    \b
    Example:
        loader emulator --port 8765
    """
    from loader.commands.emulator import serve

    serve(host, port, snapshot, save_folder, remote_control, invocation.output)


@command("demo")
@click.option("--keep-emulator", is_flag=True, help="Leave the local CRM running afterwards, until interrupted.")
def demo(invocation: Invocation, keep_emulator: bool) -> None:
    """Build the sample company, push it to a local CRM and check the result value by value.

    \b
    Example:
        loader demo
    """
    from loader.commands.demo import demo as demonstrate

    demonstrate(invocation, keep_emulator)


def main() -> None:
    """The console script: runs a command and exits with the code its outcome has."""
    gc.set_threshold(100_000, 50, 1_000)  # plans make no cycles, and there are many of them
    speak_utf8()
    exit_code = run_command(sys.argv[1:])
    if exit_code >= 128:
        end_now(exit_code)
    sys.exit(exit_code)


def run_command(arguments: list[str]) -> int:
    """Runs one command line and returns its exit code; nothing is raised."""
    invocation = Invocation()
    invocation.output.json = "--json" in arguments
    invocation.output.command = " ".join(_command_words(arguments))
    if "--log-format=json" in arguments or ("--log-format", "json") in pairwise(arguments):
        invocation.output.log_as_json()  # before anything can go wrong
    try:
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
    """The command's name out of the line, for the envelope."""
    words = [word for word in arguments if not word.startswith("-")]
    known: click.Command = cli
    found: list[str] = []
    for word in words:
        if isinstance(known, click.Group) and word in known.commands:
            known = known.commands[word]
            found.append(word)
    return found
