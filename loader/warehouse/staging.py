"""The rows of a `crm_*` view, as dbt staged them."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Protocol

from loader.warehouse.connection import Row, Warehouse, quoted

Value = str | int | Decimal | dt.datetime | dt.date | bool | None
StagedRow = dict[str, Value]
Filter = tuple[str, Sequence[str]]
"""A column and the values wanted in it. Case and trailing blanks do not matter, as in GP and CRM."""


class StagedColumn(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def data_type(self) -> str: ...


class StagedModel(Protocol):
    """What is read of a model of the contract."""

    @property
    def relation(self) -> str: ...
    @property
    def columns(self) -> Sequence[StagedColumn]: ...


def read_rows(
    warehouse: Warehouse,
    model: StagedModel,
    where_in: Filter | None = None,
    *,
    order_by: Sequence[str] = (),
    size: int = 10_000,
) -> Iterator[StagedRow]:
    """The model's rows, one at a time, without holding them all; in the order of `order_by`, where text is sorted as
    it is compared: in any case, without trailing blanks.

    With `where_in` only the rows whose column has one of the values; many values are asked for in parts, in the order
    given, and `order_by` then holds within a part.
    """
    names = [column.name for column in model.columns]
    decimals = [
        position
        for position, column in enumerate(model.columns)
        if warehouse.dialect == "duckdb" and re.match(r"\s*(decimal|numeric)\b", column.data_type, re.IGNORECASE)
    ]
    expressions = [quoted(name) for name in names]
    for position in decimals:
        # DuckDB hands out decimals as text four times faster than as Decimal.
        expressions[position] = f"cast({expressions[position]} as varchar)"
    select = f"select {', '.join(expressions)} from {model.relation}"
    types = {column.name: column.data_type for column in model.columns}
    sorting = [folded(quoted(name)) if "char" in types.get(name, "").lower() else quoted(name) for name in order_by]
    order = f" order by {', '.join(sorting)}" if sorting else ""
    for condition, params in _conditions(warehouse, where_in):
        for rows in warehouse.stream(f"{select}{condition}{order}", params, size):
            yield from _staged(rows, names, decimals)


def count(warehouse: Warehouse, model: StagedModel, where_in: Filter | None = None) -> int:
    """How many rows the model has, or how many of them match `where_in`."""
    total = 0
    for condition, params in _conditions(warehouse, where_in):
        number = warehouse.query(f"select count(*) from {model.relation}{condition}", params)[0][0]
        assert isinstance(number, int)
        total += number
    return total


def _conditions(warehouse: Warehouse, where_in: Filter | None) -> Iterator[tuple[str, list[object]]]:
    if where_in is None:
        yield "", []
        return
    column, values = where_in
    wanted = dict.fromkeys(fold(value) for value in values)
    for condition, params in warehouse.matching(folded(quoted(column)), wanted):
        yield f" where {condition}", params


def folded(expression: str) -> str:
    """`fold` in SQL."""
    return f"lower(rtrim({expression}))"


def fold(key: str) -> str:
    """A key as it is compared: GP, SQL Server and CRM ignore case and trailing blanks.

    Letter by letter and to lower case, as databases do it: Python's upper case of ß is SS.
    """
    return "".join(small if len(small := letter.lower()) == 1 else letter for letter in key.rstrip(" "))


def _staged(rows: list[Row], names: Sequence[str], decimals: Sequence[int]) -> Iterator[StagedRow]:
    columns: list[Sequence[object]] = list(zip(*rows, strict=True))
    for position in decimals:
        columns[position] = [None if text is None else _decimal(str(text)) for text in columns[position]]
    for row in zip(*columns, strict=True):
        yield dict(zip(names, row, strict=True))


@lru_cache(maxsize=100_000)
def _decimal(text: str) -> Decimal:
    """Prices and quantities repeat; making a Decimal takes longer than finding one."""
    return Decimal(text)
