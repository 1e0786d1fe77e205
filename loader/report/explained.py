"""One record's explanation as lines of text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from loader.push.explaining import LINES
from loader.report.changes import Telling
from loader.report.text import record_lines, table
from loader.report.words import counted
from loader.sync.plan import RecordPlan
from loader.visible import plain, styled, visible

_TITLES = ("CRM COLUMN", "GP", "GP VALUE", "RULE", "STAGED", "CRM NOW", "")


def lines(content: Mapping[str, Any], told: Iterable[str], telling: Telling) -> Iterator[str]:
    """The same as text; `told` are the lines of text that `line_text` made of its lines."""
    yield styled(f"{content['noun']} {content['key']}", bold=True)
    for name, value in (content["status"] or {}).items():
        if value is not None:
            yield f"  {name}: {value}"
    if content["link"]:
        yield f"  In CRM: {content['link']}"
    if not content["staged"]:
        yield "Not staged: it is out of scope."
    if content["columns"]:
        yield ""
        yield from table([_TITLES, *map(_column_row, content["columns"])])
    yield from told
    if content["lines_left_out"]:
        yield ""
        yield f"{content['lines_left_out']:,} of {content['line_count']:,} lines are left out; -v shows all."
    if content["first"]:
        yield ""
        yield "A push would first create:"
        yield from (f"  {each['table']} {each['key']}" for each in content["first"])
    if content["plan"]:
        yield ""
        yield "A push would do:"
        yield from content["plan"]["text"]
    for entry in content["queue"]:
        yield f"Queue: {entry['state']}, {entry['reason']}, {counted(entry['attempts'], 'try', 'tries')}:"
        yield f"    {entry['message']}"
    for event in content["events"]:
        about = f", {event['reason']}: {event['message']}" if event["reason"] else ""
        yield f"{event['happened_at']:%Y-%m-%d %H:%M} {event['outcome']}{about} (run {event['run_id'][:8]})"
        if event["outcome"] == "updated":
            yield from telling.lines(content["table"], event["changes"])


def line_text(line: Mapping[str, Any]) -> Iterator[str]:
    """One of the record's lines, as text."""
    yield ""
    yield styled(f"line {line['line']}", bold=True)
    shown = [column for column in line["columns"] if column["staged"] is not None or column["crm"] is not None]
    yield from table([_TITLES, *map(_column_row, shown)])


def _column_row(column: Mapping[str, Any]) -> tuple[str, ...]:
    mark = "" if column["equal"] is None else "=" if column["equal"] else "≠"
    return (
        column["column"],
        ", ".join(column["gp"]),
        _short(", ".join("" if value is None else value for value in column["gp_values"])),
        _short(column["rule"], 40),
        _short(_known(column, "staged", "sent_shown")),
        _short(_known(column, "crm", "crm_shown")),
        mark,
    )


def _known(column: Mapping[str, Any], value: str, shown: str) -> object:
    """What people know an option or a row by; a staged text is known already."""
    word = column.get(shown)
    return column[value] if word is None or (isinstance(column[value], str) and value == "staged") else word


def _short(value: object, width: int = 36) -> str:
    text = "" if value is None else visible(str(value).rstrip())
    return text if len(text) <= width else text[: width - 1] + "…"


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
