"""`loader retry`: the queue of orders that could not go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Literal

import click

from loader.errors import NotFound
from loader.invocation import Invocation, global_options, group, pass_invocation
from loader.keys import match_key
from loader.push import pushing
from loader.report.output import Answer
from loader.report.pushed import PushTold
from loader.report.text import queue_lines
from loader.run import Run
from loader.warehouse.journal import WAITING


@group("retry")
def retry() -> None:
    """The retry queue: orders that could not go, and why."""


@retry.command("list")
@click.option("--all", "everything", is_flag=True, help="Resolved entries too.")
@click.option(
    "--limit", default=1000, show_default=True, type=click.IntRange(1), help="How many, the longest waiting first."
)
@global_options
@pass_invocation
def retry_list(invocation: Invocation, everything: bool, limit: int) -> None:
    """List what waits: since when, how often tried, what is missing.

    \b
    Example:
        loader retry list
    """
    with invocation.run() as run:
        content, text = waiting(run, everything, limit)
    invocation.output.data(content, text)


@retry.command("now")
@global_options
@pass_invocation
def retry_now(invocation: Invocation) -> None:
    """Push the orders of the queue that are open, and no others.

    \b
    Example:
        loader retry now
    """
    told = PushTold(invocation.output.json)
    with invocation.run("push") as run, invocation.stoppable():
        orders = pushing.open_in_queue(run)
        if not orders:
            invocation.output.data({"orders": {}}, lambda: iter(["The retry queue has no open order that is staged."]))
            return
        with invocation.output.progress("Pushing") as progress:
            report = pushing.push(run, only=orders, command="retry now", progress=progress, tell=told.add)
    told.tell(invocation.output, report, invocation.signal)


def _queue_command(name: str, state: Literal["held", "ignored", "open"], help_: str) -> None:
    @retry.command(name, help=help_)
    @click.argument("orders", nargs=-1, required=True, metavar="ORDER...")
    @global_options
    @pass_invocation
    def set_state(invocation: Invocation, orders: tuple[str, ...]) -> None:
        with invocation.run("write") as run:
            content, text = decided(run, orders, state)
        invocation.output.data(content, text)


_queue_command("hold", "held", "Leave orders alone until they are released; they stay in the queue.")
_queue_command("ignore", "ignored", "Leave orders alone for good; the queue no longer counts them.")
_queue_command("release", "open", "Let held or ignored orders go again, with the next push.")


def waiting(run: Run, everything: bool, limit: int) -> Answer:
    """The retry queue's entries that have waited longest; resolved ones only where asked for."""
    entries = run.journal.queue(None if everything else WAITING, limit)
    counts = run.journal.queue_counts()
    more = 0 if everything else sum(counts.values()) - len(entries)

    def text() -> Iterator[str]:
        yield from queue_lines(entries)
        if more:
            yield f"{more:,} more wait; --limit shows more of them."

    return {"queue": [asdict(entry) for entry in entries], "counts": counts}, text


def decided(run: Run, orders: Sequence[str], state: Literal["held", "ignored", "open"]) -> Answer:
    """Holds, ignores or releases orders. Raises NotFound for one that is neither staged nor in the queue."""
    model = run.contract.models[0]
    known = set(map(match_key, run.keys(model)))
    for order in orders:
        if match_key(order) not in known and not run.journal.queue_of(order):
            raise NotFound(f"Order {order} is neither staged nor in the queue.", "Check the number.")
    run.journal.prepare()
    entries = [run.journal.set_state(model.table, order, state) for order in orders]
    return {"queue": [asdict(entry) for entry in entries]}, lambda: queue_lines(entries)
