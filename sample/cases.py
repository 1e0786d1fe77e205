"""What becomes of each case of the sample company (`cases.csv`)."""

from __future__ import annotations

from sample.reading import FOLDER, rows

PUSHES = ("orders", "empty", "full", "later")
"""orders: only orders, to the organisation. empty: everything, to the organisation that is as good as empty. full:
everything, to the organisation. later: the push after `empty`, when GP has changed."""

COLUMNS = ("case", "push", "table", "key", "outcome", "reason", "warnings", "note")


def cases(push: str = "orders") -> list[dict[str, str]]:
    """The cases of one of the pushes. An empty cell is an empty text."""
    read = [row.cells for row in rows(FOLDER / "cases.csv", ("case", "push", "table", "key", "outcome"))]
    return [{name: cells.get(name, "") for name in COLUMNS} for cells in read if cells["push"] == push]
