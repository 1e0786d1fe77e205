"""Reading the sample's CSV files, with errors that name the file, the line, the column and the way out."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

FOLDER = Path(__file__).parent


class _Lines(Protocol):
    """What `csv.reader` gives back."""

    @property
    def line_num(self) -> int: ...
    def __iter__(self) -> Iterator[list[str]]: ...
    def __next__(self) -> list[str]: ...


class SampleError(Exception):
    """A sample file says something that GP or CRM could not hold."""

    def __init__(self, where: str, problem: str, remedy: str) -> None:
        super().__init__(f"{where}: {problem}. {remedy}")
        self.where = where
        self.problem = problem
        self.remedy = remedy


@dataclass(frozen=True)
class Row:
    """One line of a CSV file. An empty cell is left out: the table's default applies."""

    file: str
    line: int
    cells: dict[str, str]

    def error(self, column: str, problem: str, remedy: str) -> SampleError:
        return SampleError(f"{self.file}, line {self.line}, column {column}", problem, remedy)


def rows(path: Path, required: Sequence[str] = ()) -> Iterator[Row]:
    """The lines of `path`. Every one must have as many cells as the header, and fill the `required` columns."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            yield from _rows(path, csv.reader(file, strict=True), required)
    except FileNotFoundError:
        raise SampleError(path.name, "the file is missing", f"Put it back into {path.parent}.") from None
    except UnicodeDecodeError as error:
        remedy = "Save the file as UTF-8."
        raise SampleError(path.name, f"byte {error.start} is not UTF-8", remedy) from None


def _rows(path: Path, lines: _Lines, required: Sequence[str]) -> Iterator[Row]:
    try:
        header = next(lines, None)
        if not header:
            raise SampleError(f"{path.name}, line 1", "no header", "Name the columns in the first line.")
        for name in header:
            if not name or header.count(name) > 1:
                problem = f"the column name {name!r} is {'used twice' if name else 'empty'}"
                raise SampleError(f"{path.name}, line 1", problem, "Give every column a name of its own.")
        for name in required:
            if name not in header:
                raise SampleError(f"{path.name}, line 1", f"no column {name}", f"Add the column {name}.")
        for cells in lines:
            if not cells:
                continue
            if len(cells) != len(header):
                problem = f"{len(cells)} cells under {len(header)} columns"
                remedy = "Add the missing commas, or put quotes around a text that holds a comma."
                raise SampleError(f"{path.name}, line {lines.line_num}", problem, remedy)
            row = Row(path.name, lines.line_num, {n: c for n, c in zip(header, cells, strict=True) if c})
            for name in required:
                if name not in row.cells:
                    raise row.error(name, "is empty", "Every line needs it.")
            yield row
    except csv.Error as error:
        where = f"{path.name}, line {lines.line_num}"
        raise SampleError(where, str(error), "Double the quotes inside a quoted text.") from None
