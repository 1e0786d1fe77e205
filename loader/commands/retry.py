"""`loader retry`: the queue of records that could not be pushed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Literal, TypeAlias

import click

from loader.context import Context
from loader.contract import Model
from loader.errors import NotFound, UsageError
from loader.invocation import Invocation, global_options, group, pass_invocation, table_option
from loader.keys import fold
from loader.push import pushing
from loader.push.audits import about, money_waiting, sum_of
from loader.push.staging import models_of
from loader.report.notice import notifying
from loader.report.output import Answer
from loader.report.pushed import PushOutput
from loader.report.text import queue_lines
from loader.report.words import money
from loader.warehouse.journal import WAITING, QueueState

Decision: TypeAlias = Literal["held", "ignored", "open"]
_FROM: Mapping[Decision, tuple[QueueState, ...]] = {
    "held": ("open",),
    "ignored": ("open", "held"),
    "open": ("held", "ignored"),
}
"""What is decided of all records at once → the states in which they are for that."""
_DONE: Mapping[Decision, str] = {"held": "held", "ignored": "ignored", "open": "released"}
_LISTS = "`loader retry list` shows the reasons."


@group("retry")
def retry() -> None:
    """The retry queue: records that could not be pushed, and why."""


@retry.command("list")
@click.option("--all", "everything", is_flag=True, help="Show resolved entries, too.")
@click.option(
    "--limit", default=1000, show_default=True, type=click.IntRange(1), help="How many to show, the oldest first."
)
@table_option
@global_options
@pass_invocation
def retry_list(invocation: Invocation, everything: bool, limit: int, tables: tuple[str, ...]) -> None:
    """List what is waiting: since when, how often it was tried, and what is missing.

    \b
    Example:
        loader retry list
    """
    with invocation.context() as context:
        content, text = waiting(context, everything, limit, tables)
    invocation.output.data(content, text)


@retry.command("now")
@table_option
@global_options
@pass_invocation
def retry_now(invocation: Invocation, tables: tuple[str, ...]) -> None:
    """Push only the open records in the queue.

    \b
    Example:
        loader retry now
    """
    with invocation.context("push") as context, notifying(context, invocation.output.talk), invocation.stoppable():
        pushed = PushOutput(invocation.output, context.contract)
        chosen = pushing.open_in_queue(context, tables)
        if not chosen:
            empty: dict[str, dict[str, int]] = {"tables": {}, "records": {}}
            invocation.output.data(empty, lambda: iter(["The retry queue has no open record that is staged."]))
            return
        with invocation.output.progress("Pushing") as progress:
            report = pushing.push(context, chosen=chosen, command="retry now", progress=progress, tell=pushed.add)
    pushed.tell(invocation.output, report, invocation.signal)


def _queue_command(name: str, state: Decision, help_: str) -> None:
    @retry.command(name, help=help_)
    @click.argument("keys", nargs=-1, metavar="[KEY]...")
    @click.option("--reason", metavar="CODE", help="All records that wait for this reason, such as account_not_found.")
    @click.option("--all", "everything", is_flag=True, help="All records in the queue.")
    @table_option
    @global_options
    @pass_invocation
    def set_state(
        invocation: Invocation, keys: tuple[str, ...], reason: str | None, everything: bool, tables: tuple[str, ...]
    ) -> None:
        if bool(keys) + (reason is not None) + everything != 1:
            raise click.UsageError("Name the records, or choose them with --reason or --all.")
        with invocation.context("write") as context:
            if keys:
                content, text = decided(context, keys, state, tables)
            else:
                content, text = all_decided(context, reason, state, tables)
        invocation.output.data(content, text)


_queue_command("hold", "held", "Set records aside until they are released. They stay in the queue.")
_queue_command("ignore", "ignored", "Set records aside for good. The queue no longer counts them.")
_queue_command("release", "open", "Release held or ignored records, so that the next push includes them.")


def waiting(context: Context, everything: bool, limit: int, tables: Sequence[str] = ()) -> Answer:
    """The entries of the retry queue that have waited longest. Resolved ones only on request."""
    entries = context.journal.queue(None if everything else WAITING, None if tables else limit)
    counts = context.journal.queue_counts()
    more = 0 if everything else sum(counts.values()) - len(entries)
    known = {model.table for model in models_of(context, tables)} if tables else set()
    if tables:
        chosen = [entry for entry in entries if entry.table in known]
        entries, more = chosen[:limit], max(len(chosen) - limit, 0)
        counts = {state: sum(entry.state == state for entry in chosen) for state in counts}
    found = about(context, [(entry.table, entry.key) for entry in entries])
    amounts = money_waiting(context, sorted(known) if tables else [])
    amount = sum_of(amounts)
    queue = []
    for entry in entries:
        title, its_amount, _ = found.get((entry.table, fold(entry.key)), (None, None, None))
        queue.append({**asdict(entry), "title": title, "amount": its_amount})
    now = context.journal.now()

    def text() -> Iterator[str]:
        yield from queue_lines(entries, context.contract, now, [row["amount"] for row in queue])
        if len(amounts) > 1:
            told = [f"{context.contract.model_of(each).nouns} {money(its)}" for each, its in sorted(amounts.items())]
            yield f"What waits: {', '.join(told)}."
        elif amount:
            yield f"{money(amount)} waits."
        if more:
            yield f"{more:,} more {'is' if more == 1 else 'are'} waiting; --limit shows more."

    return {"queue": queue, "counts": counts, "amount": amount, "amounts": amounts}, text


def decided(context: Context, keys: Sequence[str], state: Decision, tables: Sequence[str] = ()) -> Answer:
    """Holds, ignores or releases records.

    Raises NotFound for a record that is neither staged nor in the queue, UsageError for a key in several tables.
    """
    models = models_of(context, tables)
    chosen = [(_table_of(context, models, key), key) for key in keys]
    return _decided(context, chosen, state)


def all_decided(context: Context, reason: str | None, state: Decision, tables: Sequence[str] = ()) -> Answer:
    """Holds or ignores what waits, or releases what does not: all of it, or what is there for one reason."""
    known = {model.table for model in models_of(context, tables)}
    chosen = [
        (entry.table, entry.key)
        for entry in context.journal.queue(_FROM[state])
        if entry.table in known and reason in (None, entry.reason)
    ]
    if not chosen and reason is not None:
        raise NotFound(f"No record in the queue can be {_DONE[state]} for the reason {reason}.", _LISTS)
    return _decided(context, chosen, state)


def _decided(context: Context, chosen: Sequence[tuple[str, str]], state: Decision) -> Answer:
    context.journal.prepare()
    entries = context.journal.set_states(chosen, state)
    now = context.journal.now()
    return {"queue": [asdict(entry) for entry in entries]}, lambda: queue_lines(entries, context.contract, now)


def _table_of(context: Context, models: Sequence[Model], key: str) -> str:
    """The table that has a record with this key, staged or in the queue."""
    known = {model.table for model in models}
    found = {entry.table for entry in context.journal.queue_of(key)} & known
    found |= {model.table for model in models if model.table not in found and context.stage(model, [key]).keys}
    if len(found) > 1:
        raise UsageError(
            f"{key} is the key of records in several tables: {', '.join(sorted(found))}.", "Name one with --table."
        )
    if not found:
        nouns = " or ".join(dict.fromkeys(model.noun for model in models))
        raise NotFound(f"No {nouns} {key} is staged or in the queue.", "Check the key.")
    return found.pop()
