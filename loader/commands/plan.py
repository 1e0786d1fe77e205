"""`loader plan`: shows what a push would do, and saves it as a plan file."""

from __future__ import annotations

from pathlib import Path

import click

from loader.invocation import Invocation, command, order_option, table_option
from loader.push import planning
from loader.report.changes import Telling
from loader.report.spool import JsonSpool
from loader.report.text import PlanText
from loader.sync.plan import RecordPlan
from loader.sync.plan_file import plan_file_entry


@command("plan")
@order_option
@table_option
@click.option("--full", is_flag=True, help="Compare all records with CRM's, not only those that moved.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Save the plan for `loader push FILE`.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 4 if there is something to push.")
def plan(
    invocation: Invocation,
    orders: tuple[str, ...],
    tables: tuple[str, ...],
    full: bool,
    out: Path | None,
    detailed_exitcode: bool,
) -> None:
    """Show what a push would do, field by field, old → new. Nothing is written.

    \b
    Example:
        loader plan --order ORDST2225
        loader plan --out monday.plan && loader push monday.plan
    """
    output = invocation.output
    entries, saved = JsonSpool(), JsonSpool()

    def tell(each: RecordPlan) -> None:
        if output.json:
            entries.add_entry(each.entry())
        else:
            text.add(each)
        if out and each.writes:
            saved.add_entry(plan_file_entry(each))

    with invocation.context() as context, output.progress("Planning") as progress:
        text = PlanText(Telling(context.contract, output.verbose), output.quiet)
        report = planning.plan(context, orders, tables, progress, tell, full)
        if out:
            planning.write_plan_file(out, saved, context.settings.crm_url, whole=not (orders or tables))
    verdict = report.verdict if detailed_exitcode else None
    output.data(report.as_json(), lambda: text.lines(report), verdict, ("plans", entries))
    if out:
        output.talk(f"Saved to {out}. Apply it with `loader push {out}`.")
