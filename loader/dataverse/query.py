"""The text of OData reads. A value cannot break out of its quotes, whatever characters an order number has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote

IN_LIMIT = 500
"""Values in one filter. Dataverse refuses more than 500 conditions in a query."""
LONGEST_LIST = 55_000
"""Characters of a list of values in a URL. In a batch, CRM accepts 65,536 characters including path and columns."""

_TELLING = re.compile(r"[^A-Za-z0-9 ._-]")


def chunks(values: Iterable[str], size: int = IN_LIMIT) -> Iterator[list[str]]:
    """The values, divided so that each part fits into one filter."""
    chunk: list[str] = []
    length = 0
    for value in values:
        each = len(quote(quoted(value), safe="")) + len("%2C")
        if chunk and (len(chunk) == size or length + each > LONGEST_LIST):
            yield chunk
            chunk, length = [], 0
        chunk.append(value)
        length += each
    if chunk:
        yield chunk


def quoted(value: str) -> str:
    """One item of a list of values, in double quotes.

    OData's lexer finds the end of a list by counting brackets, and before version 7.7 apostrophes, inside double
    quotes as well (docs/dataverse.md, "Look-ups and filters"). So each character that it could interpret is escaped.
    """
    return f'"{_TELLING.sub(_escaped, value)}"'


def _escaped(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))


def literal(value: str) -> str:
    """A text that a column is compared with, in apostrophes."""
    return f"'{_doubled(value)}'"


def definition_of(table: str) -> str:
    """The path of a table's definition."""
    return f"EntityDefinitions(LogicalName='{quote(_doubled(table), safe='')}')"


def _doubled(text: str) -> str:
    return text.replace("'", "''")


def rows_where_in(
    entity_set: str,
    column: str,
    values: Sequence[str],
    select: Sequence[str],
    expand: str | None = None,
    besides: str | None = None,
) -> str:
    """The path of the rows whose `column` is one of `values`, and that meet the condition `besides` as well.

    CRM ignores case and trailing blanks.
    """
    items = ",".join(map(quoted, values))
    condition = f"Microsoft.Dynamics.CRM.In(PropertyName='{column}',PropertyValues=[{items}])"
    return rows(entity_set, select, expand, f"{condition} and {besides}" if besides else condition)


def rows(entity_set: str, select: Sequence[str], expand: str | None = None, condition: str | None = None) -> str:
    """The path of all rows, or of those that meet an OData condition."""
    parts = [f"$select={','.join(select)}"]
    if condition:
        parts.append(f"$filter={quote(condition, safe='')}")
    if expand:
        parts.append(f"$expand={expand}")
    return f"{entity_set}?{'&'.join(parts)}"
