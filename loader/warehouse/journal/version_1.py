"""Converts changes and warnings from version 1 of the journal. Those that are converted already stay as they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_OF_LINE = re.compile(r"line (?P<line>.+?): (?P<column>.+)", re.DOTALL)
_SUFFIX = " line"


def change(entry: Mapping[str, Any], key: str, line_table: str | None) -> dict[str, Any]:
    """A `record` of `ORD1/16384` in the table `salesorder line` is line 16384 of ORD1."""
    if "record" not in entry:
        return dict(entry)
    table, record = str(entry["table"]), str(entry["record"])
    rest = {name: value for name, value in entry.items() if name not in ("table", "record")}
    if not table.endswith(_SUFFIX):
        return {"table": table, "key": record, "line": None, **rest}
    line = record[len(key) + 1 :] if record.startswith(f"{key}/") else record.rpartition("/")[2]
    return {"table": line_table or table, "key": key, "line": _line(line), **rest}


def warning(entry: Mapping[str, Any], table: str, key: str, line_table: str | None) -> dict[str, Any]:
    """A `column` of `line 16384: uomid` is uomid of line 16384."""
    if "table" in entry or "column" not in entry:
        return dict(entry)
    column = str(entry["column"])
    of_line = _OF_LINE.fullmatch(column)
    place = (
        {"table": line_table or f"{table}{_SUFFIX}", "key": key, "line": _line(of_line["line"])}
        if of_line
        else {"table": table, "key": key, "line": None}
    )
    rest = {name: value for name, value in entry.items() if name not in ("code", "column")}
    return {"code": entry["code"], **place, "column": of_line["column"] if of_line else column, **rest}


def _line(text: str) -> int | str | None:
    if text == "None":
        return None
    return int(text) if re.fullmatch("-?[0-9]+", text) else text
