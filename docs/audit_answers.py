"""Writes the answers in docs/audit.md: its queries, asked of the sample company after one push and one reconcile.

python docs/audit_answers.py            write them
python docs/audit_answers.py --check    exit 1 if they are not what the page says
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
PAGE = PROJECT / "docs" / "audit.md"

Answer = tuple[Sequence[str], Sequence[Sequence[Any]]]
"""Column names and rows."""

_QUESTION = re.compile(r"```sql\n(?P<sql>.*?)\n```\n```text\n(?P<answer>.*?)```\n", re.DOTALL)
_UNSTABLE = {"since", "changed_at"}
"""Columns whose values are another every time: instants."""


def main(argv: list[str] | None = None) -> int:
    """Write the answers, or with --check only compare."""
    parser = argparse.ArgumentParser(description="Write the answers in docs/audit.md.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the page is not up to date")
    options = parser.parse_args(argv)
    page = PAGE.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sample.duckdb"
        _push_the_sample(path)
        text = answered(page, lambda sql: ask(path, sql))
    if options.check:
        if text == page:
            return 0
        print("docs/audit.md is not up to date. Run: python docs/audit_answers.py", file=sys.stderr)
        return 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


def answered(page: str, query: Callable[[str], Answer]) -> str:
    """The page with the answers that `query` gives."""
    return _QUESTION.sub(
        lambda question: f"```sql\n{question['sql']}\n```\n```text\n{_table(*query(question['sql']))}\n```\n", page
    )


def ask(path: Path, sql: str) -> Answer:
    """A query's answer out of a DuckDB file."""
    import duckdb

    connection = duckdb.connect(str(path), read_only=True)
    try:
        result = connection.execute(sql)
        return [column[0] for column in result.description], result.fetchall()
    finally:
        connection.close()


def _table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    cells = [list(names), *([_cell(*pair) for pair in zip(names, row, strict=True)] for row in rows)]
    widths = [max(len(row[number]) for row in cells) for number in range(len(names))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    count = f"({len(rows)} row{'' if len(rows) == 1 else 's'})"
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:], count])


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    return "…" if name in _UNSTABLE else str(value)


def _push_the_sample(path: Path) -> None:
    sys.path.insert(0, str(PROJECT))
    from emulator import Emulator
    from loader.cli import run_command
    from loader.profile import read_target
    from loader.push.building import run_dbt
    from loader.warehouse.connect import connect
    from sample import company, organisation

    os.chdir(PROJECT)
    os.environ.update({"GP_CRM_DUCKDB_PATH": str(path), "DBT_TARGET_PATH": str(path.parent / "target")})
    warehouse = connect(read_target(PROJECT, None, "duckdb", os.environ), for_run=True, create=True)
    company.load(warehouse)
    warehouse.close()
    arguments = ["build", "--exclude-resource-type", "unit_test", "--exclude-resource-type", "test"]
    exit_code, output = run_dbt([*arguments, "--target", "duckdb"], os.environ)
    assert exit_code == 0, output
    with Emulator(snapshot=organisation.snapshot()) as crm:
        os.environ.update({"CRM_URL": crm.url, "CRM_AUTH": "token", "CRM_ACCESS_TOKEN": crm.token})
        for command in ("push", "reconcile"):
            run_command([command, "--target", "duckdb", "--quiet"])


if __name__ == "__main__":
    sys.exit(main())
