"""`loader push`: makes CRM's records equal to the staged ones."""

from __future__ import annotations

from pathlib import Path

import click

from loader.invocation import Invocation, command, order_option, table_option
from loader.push import pushing
from loader.push.building import build_or_stop
from loader.push.guards import MaxChanges
from loader.push.planning import read_plan_file
from loader.report.notice import notifying
from loader.report.pushed import PushOutput


@command("push")
@click.argument("planfile", required=False, type=click.Path(dir_okay=False, path_type=Path))
@order_option
@table_option
@click.option("--max-changes", metavar="N|P%", help="Stop before the first write if more records would change.")
@click.option("--full", is_flag=True, help="Compare all records with CRM's, not only those that moved.")
@click.option("--build", is_flag=True, help="Run `dbt build` first; stop if the contract's tests fail.")
@click.option("--allow-empty", is_flag=True, help="Continue if nothing is staged although CRM has open records.")
def push(
    invocation: Invocation,
    planfile: Path | None,
    orders: tuple[str, ...],
    tables: tuple[str, ...],
    max_changes: str | None,
    full: bool,
    build: bool,
    allow_empty: bool,
) -> None:
    """Create and update records in CRM until they equal the staged ones. Each is written as a whole or not at all.

    With PLANFILE, apply exactly that plan. Records that changed since are refused one by one.

    \b
    Example:
        loader push --max-changes 10%
    """
    if planfile and (orders or tables):
        raise click.UsageError("A plan file already names its records: leave out --order and --table.")
    limit = MaxChanges.parse(max_changes) if max_changes else None
    name = "push --order" if orders else "push --table" if tables else "push"
    if build:
        with invocation.context("write") as context, notifying(context, invocation.output.talk):
            build_or_stop(context, name, invocation.output.talk)
    with invocation.context("push") as context, notifying(context, invocation.output.talk), invocation.stoppable():
        saved = read_plan_file(planfile, context.settings.crm_url) if planfile else None
        pushed = PushOutput(invocation.output, context.contract)
        with invocation.output.progress("Pushing") as progress:
            report = pushing.push(
                context,
                only=orders,
                tables=tables,
                max_changes=limit,
                full=full,
                plan_file=saved,
                allow_empty=allow_empty,
                command=name if saved is None else "push FILE" if saved.whole else "push --order",
                progress=progress,
                tell=pushed.add,
            )
    pushed.tell(invocation.output, report, invocation.signal)
