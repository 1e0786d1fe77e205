"""`loader sample`: GP tables of one's own, tried out without a server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loader.errors import UsageError
from loader.files import private_files
from loader.invocation import Invocation, global_options, group, pass_invocation
from loader.report.words import counted
from loader.warehouse.connect import connect

if TYPE_CHECKING:
    from sample.own import Loaded, Result, Source

NEXT = ("dbt build --exclude-resource-type unit_test", "loader emulator --from-gp --env-file .env", "loader plan")
SHOWN = 8


@group("sample")
def sample() -> None:
    """GP tables of your own in a DuckDB file, to try the project out."""


@sample.command("load")
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, exists=True, path_type=Path))
@global_options
@pass_invocation
def load(invocation: Invocation, folder: Path) -> None:
    """Load GP's tables from the CSV and Parquet files of a directory, each named like its table.

    Types come from dbt's sources; a column that a file does not have gets GP's default. Each table that has a file is
    replaced.

    \b
    Example:
        loader sample load my_tables
    """
    from sample import own
    from sample.reading import SampleError

    output = invocation.output
    with invocation.context() as context, private_files(), output.progress("Loading") as progress:
        target = context.target
        if target.type != "duckdb":
            raise UsageError(
                f"Target {target.name!r} is {target.address}; tables of your own go into a DuckDB file.",
                "Add --target duckdb.",
            )
        try:
            tables = own.sources(invocation.project_dir)
            warehouse = connect(target, for_run=True, create=True)
            try:
                result = own.load(warehouse, tables, folder, progress)
            finally:
                warehouse.close()
        except SampleError as error:
            raise UsageError(f"{error.where}: {error.problem}.", error.remedy) from None
    content = {
        "file": str(target.path),
        "loaded": [asdict(each) for each in result.loaded],
        "without_file": [source.name for source in result.without_file],
        "unknown_files": result.unknown,
        "next": list(NEXT),
    }
    output.data(content, lambda: _lines(result, f"{target.address}"))


@sample.command("select")
@click.argument("tables", metavar="[TABLE]...", nargs=-1)
@global_options
@pass_invocation
def select(invocation: Invocation, tables: tuple[str, ...]) -> None:
    """Print the statement that reads each table in GP's company database, for any tool that writes CSV.

    \b
    Example:
        loader sample select SOP10100
    """
    chosen = _chosen(invocation, tables)
    statements = {source.name: source.select for source in chosen}
    invocation.output.data(statements, lambda: (f"{sql};" for sql in statements.values()))


@sample.command("export")
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--table", "tables", metavar="TABLE", multiple=True, help="Only this table of GP. Can be repeated.")
@global_options
@pass_invocation
def export(invocation: Invocation, folder: Path, tables: tuple[str, ...]) -> None:
    """Write GP's tables from SQL Server to CSV files in a directory, for `loader sample load`.

    The connection is that of a target of SQL Server; GP's database is GP_CRM_GP_DATABASE, or the target's own.

    \b
    Example:
        loader sample export my_tables --target sqlserver
    """
    from sample import own

    output = invocation.output
    chosen = _chosen(invocation, tables)
    counts: dict[str, int] = {}
    with invocation.context() as context, private_files(), output.progress("Exporting") as progress:
        if context.target.type != "sqlserver":
            raise UsageError(f"Target {context.target.name!r} is {context.target.address}.", "Add --target sqlserver.")
        folder.mkdir(parents=True, exist_ok=True)
        database = context.environ.get("GP_CRM_GP_DATABASE") or context.target.database
        place = "[" + database.replace("]", "]]") + "]."
        for done, source in enumerate(chosen):
            progress(done, len(chosen))
            rows = context.warehouse.query(source.select.replace(" from dbo.", f" from {place}dbo."))
            counts[source.name] = own.write_csv(folder / f"{source.name}.csv", source, rows)
    output.data(
        {"folder": str(folder), "rows": counts}, lambda: (f"{name}: {counted(n, 'row')}" for name, n in counts.items())
    )


def _chosen(invocation: Invocation, tables: tuple[str, ...]) -> list[Source]:
    from sample import own
    from sample.reading import SampleError

    try:
        known = own.sources(invocation.project_dir)
    except SampleError as error:
        raise UsageError(f"{error.where}: {error.problem}.", error.remedy) from None
    by_name = {name.casefold(): source for name, source in known.items()}
    unknown = [name for name in tables if name.casefold() not in by_name]
    if unknown:
        raise UsageError(f"No model reads GP's {', '.join(unknown)}.", f"These are read: {', '.join(known)}.")
    return [by_name[name.casefold()] for name in tables] or list(known.values())


def _lines(result: Result, address: str) -> Iterator[str]:
    for each in result.loaded:
        yield f"{each.table}: {counted(each.rows, 'row')} of {each.file}{_remarks(each)}"
    for extra, words in ((False, "No file, so"), (True, "Read with an integration only:")):
        names = [f"{source.name} ({source.description})" for source in result.without_file if source.is_extra is extra]
        if names and extra:
            yield f"{words} {', '.join(names)}"
        elif names:
            verb = "is" if len(names) == 1 else "are"
            yield f"{words} {', '.join(names)} {verb} as before, or without a row."
    missing = [source.name for source in result.without_file if not source.is_extra]
    if missing:
        yield f"`loader sample select {' '.join(missing)}` prints what to export for them."
    if result.unknown:
        yield f"Not named like a table that the models read: {', '.join(result.unknown)}"
    yield f"All in {address}. Next, the last in a second terminal:"
    for command in NEXT:
        yield f"  {command}"


def _remarks(each: Loaded) -> str:
    remarks = []
    if each.encoding:
        remarks.append(f"read as {each.encoding}")
    if each.filled:
        remarks.append(f"GP's default in {_some(each.filled)}")
    if each.ignored:
        remarks.append(f"ignored {_some(each.ignored)}, which no model reads")
    return f" ({'; '.join(remarks)})" if remarks else ""


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
