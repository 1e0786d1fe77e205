"""Text of OData reads. Values never leave their quotes: whatever an order number holds stays a value."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from urllib.parse import quote

IN_LIMIT = 500
"""Values in one filter: Dataverse refuses more than 500 conditions in a query."""


def chunks(values: Iterable[str], size: int = IN_LIMIT) -> Iterator[list[str]]:
    iterator = iter(values)
    while chunk := list(islice(iterator, size)):
        yield chunk


def rows_where_in(
    entity_set: str, column: str, values: Sequence[str], select: Sequence[str], expand: str | None = None
) -> str:
    """Path of the rows whose `column` is one of `values`. CRM compares without case and trailing blanks."""
    condition = f"Microsoft.Dynamics.CRM.In(PropertyName='{column}',PropertyValues={json.dumps(list(values))})"
    parts = [f"$select={','.join(select)}", f"$filter={quote(condition, safe='')}"]
    if expand:
        parts.append(f"$expand={expand}")
    return f"{entity_set}?{'&'.join(parts)}"


def rows(entity_set: str, select: Sequence[str], expand: str | None = None, condition: str | None = None) -> str:
    """Path of all rows, or of those that meet an OData condition."""
    parts = [f"$select={','.join(select)}"]
    if condition:
        parts.append(f"$filter={quote(condition, safe='')}")
    if expand:
        parts.append(f"$expand={expand}")
    return f"{entity_set}?{'&'.join(parts)}"
