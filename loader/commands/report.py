"""`loader report`: the page for the browser, and its figures."""

from __future__ import annotations

from pathlib import Path

import click

from loader.errors import UsageError
from loader.files import open_private
from loader.invocation import Invocation, command
from loader.report import figures
from loader.report.html import headline, render


@command("report")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="File to write; - is stdout.  [default: report.html; none with --json]",
)
@click.option("--runs", default=30, show_default=True, type=click.IntRange(1, 1000), help="How many runs to chart.")
def report(invocation: Invocation, out: Path | None, runs: int) -> None:
    """Write a page for the browser: the last run, the trend, the queue, what blocks how much money.

    The page is one file that loads nothing from anywhere else. --json prints its figures.

    \b
    Example:
        loader report --out report.html
    """
    output = invocation.output
    to_stdout = str(out) == "-"
    if to_stdout and output.json:
        raise click.UsageError("--json takes stdout: name a file with --out.")
    with invocation.context() as context:
        content = figures.report(context, runs)
    if out is None and not output.json:
        out = Path("report.html")
    if out is not None and not to_stdout:
        _write(out, render(content))
        output.talk(f"Written to {out}.")
    if to_stdout:
        output.document(render(content))
    else:
        output.data(content, lambda: iter([headline(content)[1]]))


def _write(path: Path, page: str) -> None:
    try:
        with open_private(path) as file:
            file.write(page)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", "Name another file with --out.") from None
