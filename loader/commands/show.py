"""`loader show`: shows a plan file."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import click

from loader.errors import LoaderError
from loader.invocation import Invocation, command
from loader.push.planning import read_plan_file
from loader.report.changes import Telling
from loader.report.text import saved_plan_lines


@command("show")
@click.argument("planfile", type=click.Path(dir_okay=False, path_type=Path))
def show(invocation: Invocation, planfile: Path) -> None:
    """Show what a plan file would have a push write, field by field. Neither CRM nor the warehouse is asked.

    \b
    Example:
        loader show monday.plan
    """
    saved = read_plan_file(planfile)
    contract = None
    with suppress(LoaderError), invocation.context() as context:  # without the project, keys and columns stand alone
        contract = context.contract
    content = {
        "crm_url": saved.crm_url,
        "created_at": saved.created_at,
        "whole": saved.whole,
        "plans": list(saved.entries.values()),
    }
    invocation.output.data(content, lambda: saved_plan_lines(saved, Telling(contract, invocation.output.verbose)))
