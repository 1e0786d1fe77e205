"""`loader undo`: restores what a run changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from loader.context import Context
from loader.errors import Interrupted, LoaderError, RecordsWaiting
from loader.invocation import Invocation, command, yes_option
from loader.push import undoing
from loader.push.undoing import Undone
from loader.report.changes import Telling
from loader.report.words import counted, minute


@command("undo")
@click.option("--run", "run_id", metavar="ID", required=True, help="The run to undo.")
@click.option("--plan", "plan_only", is_flag=True, help="Show what would be restored, without writing anything.")
@click.option("--cancel-created", is_flag=True, help="Cancel the records that the run created.")
@yes_option
def undo(invocation: Invocation, run_id: str, plan_only: bool, cancel_created: bool, yes: bool) -> None:
    """Put the records that a run changed back to what CRM held before. Records that changed since then are refused.

    Shows what it is going to restore, and asks before it writes.

    \b
    Example:
        loader undo --run 3f2a --plan
    """
    asks = not plan_only and invocation.must_confirm(yes)
    if plan_only or asks:
        with invocation.context() as context:
            done = undoing.plan(context, run_id, cancel_created=cancel_created)
            asks = asks and any(each.outcome.startswith("would be") for each in done.records)
            if asks:
                invocation.output.data(None, lambda: lines(done.records, Telling(context.contract)))
                invocation.confirm(_question(context, run_id, done))
    if asks or (yes and not plan_only):
        shown = done if asks else None
        with invocation.context("push") as context, invocation.stoppable():
            done = undoing.undo(context, run_id, cancel_created=cancel_created, planned=shown)
    output, refused = invocation.output, done.count("refused")
    content = {"records": [each.as_json() for each in done.records]}
    if done.failure:
        if not output.json:
            output.data(None, lambda: lines(done.records, Telling(context.contract, output.verbose)))
        output.error(done.failure, content)
        return
    verdict: LoaderError | None = None
    if invocation.signal is not None:
        verdict = Interrupted(invocation.signal, "Interrupted after finishing the records that were being written.")
    elif refused:
        text = f"{refused} of {counted(len(done.records), 'record')} {'was' if refused == 1 else 'were'} not restored."
        verdict = RecordsWaiting(text, "Each says why it was refused.")
    output.data(content, lambda: lines(done.records, Telling(context.contract, output.verbose)), verdict)


def _question(context: Context, run_id: str, planned: undoing.Undoing) -> str:
    run = context.journal.run(run_id)
    restored = sum(each.outcome.startswith("would be") for each in planned.records)
    left = len(planned.records) - restored
    told = f"{counted(restored, 'record')} in {context.settings.crm_url} would be restored, {left} left as they are."
    return f"Undo of run {run.run_id[:8]} ({run.command}, {minute(run.started_at)} UTC): {told} Go on?"


def lines(results: Sequence[Undone], telling: Telling) -> Iterator[str]:
    """The results as text."""
    for each in results:
        yield f"{telling.named(each.table, each.key)} {each.outcome}" + (f": {each.message}" if each.message else "")
        yield from telling.lines(each.table, each.changes)
