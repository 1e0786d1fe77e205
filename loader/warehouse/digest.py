"""Digests in SQL: two rows have the same one exactly if they have the same values. Compared on one warehouse only."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, Protocol

from loader.warehouse.connection import quoted

Dialect = Literal["duckdb", "sqlserver"]
_ARGUMENTS = 200
"""SQL Server's `concat` takes 254."""
_STYLES = (("date|time|smalldatetime", 121), ("float|real|double", 3), ("money|smallmoney", 2))
"""How SQL Server writes a value with nothing left out, and whatever the session's settings are."""


class TypedColumn(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def data_type(self) -> str: ...


def row_text(columns: Iterable[TypedColumn], dialect: Dialect, before: str = "") -> str:
    """A row as a text: no two rows with different values have the same. `before` is the table's alias with a dot.

    On DuckDB it is a JSON list. On SQL Server each value stands behind its length, and null has a sign of its own.
    """
    if dialect == "duckdb":
        texts = ", ".join(f"cast({before}{quoted(column.name)} as varchar)" for column in columns)
        return f"cast(to_json([{texts}]) as varchar)"
    pieces = [piece for column in columns for piece in _pieces(column, before)]
    return _concat(pieces)


def _pieces(column: TypedColumn, before: str) -> Iterator[str]:
    name = f"{before}{quoted(column.name)}"
    style = next((f", {style}" for kinds, style in _STYLES if re.match(rf"\s*({kinds})", column.data_type, re.I)), "")
    text = f"convert(nvarchar(max), {name}{style})"
    yield f"case when {name} is null then N'-' else concat(datalength({text}), N':', {text}) end"


def _concat(pieces: Sequence[str]) -> str:
    while len(pieces) > 1:
        parts = [pieces[start : start + _ARGUMENTS] for start in range(0, len(pieces), _ARGUMENTS)]
        pieces = [f"concat({', '.join(part)})" if len(part) > 1 else part[0] for part in parts]
    return pieces[0]


def digest(text: str, dialect: Dialect) -> str:
    """The digest of a text, as the warehouse has it."""
    return f"md5({text})" if dialect == "duckdb" else f"hashbytes('SHA2_256', {text})"


def shown(column: str, dialect: Dialect) -> str:
    """A digest in a column as a text: of 32 bytes the four whole numbers that they are."""
    if dialect == "duckdb":
        return column
    numbers = [f"cast(substring({column}, {start}, 8) as bigint)" for start in (1, 9, 17, 25)]
    return "concat(" + ", '.', ".join(numbers) + ")"


def joined(texts: Sequence[str], dialect: Dialect) -> str:
    """Texts, one after the other; one that is null counts as empty."""
    return f"concat({', '.join(texts)})"


def together(column: str, dialect: Dialect) -> str:
    """The digests of a group's rows as one text, in the order of the digests, so that no other order matters."""
    if dialect == "duckdb":
        return f"string_agg({column}, '' order by {column})"
    return f"string_agg(cast({shown(column, dialect)} as varchar(max)), ' ') within group (order by {column})"
