"""`loader undo`: restores what a run changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext

import click

from loader.errors import Interrupted, LoaderError, RecordsWaiting
from loader.invocation import Invocation, command
from loader.push import undoing
from loader.push.undoing import Undone
from loader.report.changes import Telling


@command("undo")
@click.option("--run", "run_id", metavar="ID", required=True, help="The run to undo.")
@click.option("--plan", "plan_only", is_flag=True, help="Show what would be restored, without writing anything.")
@click.option("--cancel-created", is_flag=True, help="Cancel the records that the run created.")
def undo(invocation: Invocation, run_id: str, plan_only: bool, cancel_created: bool) -> None:
    """Put the records that a run changed back to what CRM held before. Records that changed since then are refused.

    \b
    Example:
        loader undo --run 3f2a --plan
    """
    finishing = nullcontext() if plan_only else invocation.stoppable()
    with invocation.context("read" if plan_only else "push") as context, finishing:
        done = undoing.undo(context, run_id, plan_only=plan_only, cancel_created=cancel_created)
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
        text = f"{refused} of {len(done.records)} records were not restored."
        verdict = RecordsWaiting(text, "Each says why it was refused.")
    output.data(content, lambda: lines(done.records, Telling(context.contract, output.verbose)), verdict)


def lines(results: Sequence[Undone], telling: Telling) -> Iterator[str]:
    """The results as text."""
    for each in results:
        yield f"{telling.named(each.table, each.key)} {each.outcome}" + (f": {each.message}" if each.message else "")
        yield from telling.lines(each.table, each.changes)
