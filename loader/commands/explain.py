"""`loader explain`: one record, column by column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from loader.invocation import Invocation, command
from loader.push import explaining
from loader.report.changes import Telling
from loader.report.explained import LinesText, lines, plan_text
from loader.report.spool import JsonSpool, Spool
from loader.report.wrapping import terminal_width


@command("explain")
@click.argument("key")
@click.option(
    "--table", default="", help="The CRM table of the record, such as account, if several tables have the key."
)
def explain(invocation: Invocation, key: str, table: str) -> None:
    """Show one record column by column: GP's value, the rule, the staged value, CRM's value, and what happened to it.

    The text fits the terminal, but is never wider than 100 columns. "=" marks what CRM holds already, "≠" what differs.
    If a record has more than 100 lines, it shows 100 of them, first those that differ from CRM; -v shows all.

    \b
    Example:
        loader explain ORDST2226
    """
    output = invocation.output
    text, entries, width = Spool(), JsonSpool(), terminal_width()
    lines_text = LinesText(width, output.verbose)

    def tell(line: Mapping[str, Any]) -> None:
        if output.json:
            entries.add_entry(line)
        else:
            for each in lines_text.of(line):
                text.add(each)

    with invocation.context() as context:
        telling = Telling(context.contract, output.verbose)
        content = explaining.explain(
            context, key, tell, every_line=output.verbose, words=plan_text(telling), table=table
        )
    output.data(content, lambda: lines(content, text, telling, width), entries=("lines", entries))
