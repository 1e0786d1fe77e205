"""One record's explanation as lines of text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from loader.push.explaining import LINES
from loader.report.changes import Telling
from loader.report.text import record_lines
from loader.report.words import counted
from loader.report.wrapping import cells, shares, wrapped
from loader.sync.plan import RecordPlan
from loader.visible import plain, styled, visible

_TITLES = ("CRM COLUMN", "GP", "GP VALUE", "STAGED", "CRM NOW")
_GAP = "  "
_BELOW = "    "
_MARKS = {True: "=", False: "≠", None: ""}
_INSTANT = re.compile(r"(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}:\d{2})Z")
_LONGEST = 200
"""Longer values are cut, unless more is asked for."""


def lines(content: Mapping[str, Any], told: Iterable[str], telling: Telling, width: int) -> Iterator[str]:
    """The same as text that is `width` wide; `told` are the lines of text that `LinesText` made of its lines.

    Only a link may be longer: nobody could follow it if it were broken.
    """
    for line, below in _all_lines(content, told, telling, width):
        if below is None:
            yield line
        else:
            yield from wrapped(line, width, below)


def _all_lines(
    content: Mapping[str, Any], told: Iterable[str], telling: Telling, width: int
) -> Iterator[tuple[str, int | None]]:
    """Each line, and how far what does not fit is indented below it; None if it must not be broken."""
    yield styled(f"{content['noun']} {content['key']}", bold=True), 2
    for name, value in (content["status"] or {}).items():
        if value is not None and name != "crm_link":
            yield f"  {name}: {value}", 6
    if content["link"]:
        yield f"  In CRM: {content['link']}", None
    if not content["staged"]:
        yield "Not staged: it is out of scope.", 2
    if content["columns"]:
        yield "", 0
        yield from ((line, None) for line in column_lines(content["columns"], width, telling.verbose))
    yield from ((line, None) for line in told)
    if content["lines_left_out"]:
        yield "", 0
        yield f"{content['lines_left_out']:,} of {content['line_count']:,} lines are left out; -v shows all.", 2
    if content["first"]:
        yield "", 0
        yield "A push would first create:", 2
        yield from ((f"  {each['table']} {each['key']}", 6) for each in content["first"])
    if content["plan"]:
        yield "", 0
        yield "A push would do:", 2
        yield from ((line, 8) for line in content["plan"]["text"])
    for entry in content["queue"]:
        yield f"Queue: {entry['state']}, {entry['reason']}, {counted(entry['attempts'], 'try', 'tries')}:", 4
        yield f"    {entry['message']}", 4
    for event in content["events"]:
        about = f", {event['reason']}: {event['message']}" if event["reason"] else ""
        yield f"{event['happened_at']:%Y-%m-%d %H:%M} {event['outcome']}{about} (run {event['run_id'][:8]})", 4
        if event["outcome"] == "updated":
            yield from ((line, 8) for line in telling.lines(content["table"], event["changes"]))


class LinesText:
    """The record's lines as text. All have the same rules: each stands at the first line that has it."""

    def __init__(self, width: int, verbose: bool = False) -> None:
        self._width, self._verbose = width, verbose
        self._told: set[str] = set()

    def of(self, line: Mapping[str, Any]) -> Iterator[str]:
        """One line."""
        yield ""
        yield styled(f"line {line['line']}", bold=True)
        shown = [column for column in line["columns"] if column["staged"] is not None or column["crm"] is not None]
        without = [{**column, "rule": ""} if column["column"] in self._told else column for column in shown]
        yield from column_lines(without, self._width, self._verbose)
        self._told.update(column["column"] for column in shown)


@dataclass(frozen=True)
class _Row:
    """One CRM column: from which of GP's columns and values, by which rule, and what is staged and in CRM."""

    mark: str
    name: str
    sources: Sequence[tuple[str, str]]
    rule: str
    staged: str
    now: str

    @property
    def cells(self) -> tuple[list[str], ...]:
        """What stands below each of the titles."""
        names, values = [name for name, _ in self.sources], [value for _, value in self.sources]
        return [self.name], names, values, [self.staged], [self.now]

    @property
    def least(self) -> list[int]:
        """How wide each column must be so that no word is broken."""
        return [max((cells(word) for text in texts for word in text.split(" ")), default=0) for texts in self.cells]


def column_lines(columns: Iterable[Mapping[str, Any]], width: int, verbose: bool = False) -> Iterator[str]:
    """The columns as a table. What a cell cannot hold goes on below it; the rule stands below its column's values.

    Where a word would have to be broken, the values of a column stand below its name; if that is so of more than one
    column in five, there is no table.
    """
    rows = [_row(column, verbose) for column in columns]
    in_table, widths = _table(rows, width - len(f"{_GAP}="))
    if in_table:
        yield styled(_joined(_TITLES, widths), bold=True)
    for row in rows:
        if row in in_table:
            yield from _side_by_side(row, widths)
            indent = widths[0] + len(_GAP)
        else:
            yield from _below(row, width)
            indent = len(_BELOW)
        if row.rule:
            yield from wrapped(f"{' ' * indent}rule: {row.rule}", width, indent + 2)


def _table(rows: Sequence[_Row], width: int) -> tuple[Sequence[_Row], Sequence[int]]:
    """The rows that a table of this width can hold, and the widths of its columns; none if too many are left."""
    chosen = sorted(rows, key=lambda row: sum(row.least))
    while chosen and 5 * len(chosen) >= 4 * len(rows):
        columns = zip(([title] for title in _TITLES), *(row.cells for row in chosen), strict=True)
        needs = [max(cells(text) for texts in column for text in texts) for column in columns]
        widths = [*needs[:2], *shares(needs[2:], width - sum(needs[:2]) - len(_GAP) * (len(_TITLES) - 1))]
        least = [list(map(cells, _TITLES)), *(row.least for row in chosen)]
        if all(need <= has for row in least for need, has in zip(row, widths, strict=True)):
            return chosen, widths
        chosen.pop()
    return [], []


def _side_by_side(row: _Row, widths: Sequence[int]) -> Iterator[str]:
    values = [(column, list(wrapped(value, widths[2]))) for column, value in row.sources]
    lines_of_cells = zip_longest(
        [row.name],
        [column if number == 0 else "" for column, parts in values for number in range(len(parts))],
        [part for _, parts in values for part in parts],
        wrapped(row.staged, widths[3]),
        wrapped(row.now, widths[4]),
        fillvalue="",
    )
    mark = row.mark
    for line in lines_of_cells:
        yield _coloured(row, _joined((*line, mark), (*widths, 1)))
        mark = ""


def _joined(texts: Sequence[str], widths: Sequence[int]) -> str:
    padded = (f"{text}{' ' * (width - cells(text))}" for text, width in zip(texts, widths, strict=True))
    return _GAP.join(padded).rstrip()


def _coloured(row: _Row, line: str) -> str:
    return styled(line, "yellow") if row.mark == _MARKS[False] else line


def _below(row: _Row, width: int) -> Iterator[str]:
    yield _coloured(row, f"{row.name} {row.mark}".rstrip())
    for name, value in (*row.sources, ("staged", row.staged), ("CRM now", row.now)):
        yield from wrapped(f"{_BELOW}{name}: {value}".rstrip(), width, len(_BELOW) + 2)


def _row(column: Mapping[str, Any], verbose: bool) -> _Row:
    return _Row(
        mark=_MARKS[column["equal"]],
        name=visible(column["column"]),
        sources=[
            (visible(name), _short(value, verbose))
            for name, value in zip(column["gp"], column["gp_values"], strict=True)
        ],
        rule=visible(column["rule"] or ""),
        staged=_short(_known(column, "staged", "sent_shown"), verbose),
        now=_short(_known(column, "crm", "crm_shown"), verbose),
    )


def _known(column: Mapping[str, Any], value: str, shown: str) -> object:
    """What people know an option or a row by; a staged text is known already."""
    word = column.get(shown)
    return column[value] if word is None or (isinstance(column[value], str) and value == "staged") else word


def _short(value: object, verbose: bool) -> str:
    text = "" if value is None else visible(str(value).rstrip())
    text = _INSTANT.sub(r"\1 \2", text)
    return text if len(text) <= _LONGEST or verbose else text[: _LONGEST - 1] + "…"


def plan_text(telling: Telling) -> Callable[[RecordPlan], list[str]]:
    """How a plan is told in plain lines."""
    return lambda plan: [plain(line) for line in _plan_lines(plan, telling)]


def _plan_lines(plan: RecordPlan, telling: Telling) -> Iterator[str]:
    yield from record_lines(plan, telling)
    warned = list(dict.fromkeys((warning.code, warning.message) for warning in plan.warnings))
    for code, message in warned[:LINES]:
        yield f"  warning {code}: {message}"
    if len(warned) > LINES:
        yield f"  and {counted(len(warned) - LINES, 'more warning')}"
