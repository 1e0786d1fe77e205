"""What dbt staged for one CRM table: its `crm_*` views, read once into temporary tables and from there in parts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Protocol

from loader.keys import KEY_SEPARATOR, fold, folded
from loader.warehouse.connection import Row, Warehouse, WarehouseBusy, collation_of, quoted

StagedRow = dict[str, object]
"""Column → str, int, Decimal, datetime (naive, UTC), date, bool or None."""

AT_A_TIME = 2_000
"""How many records are fetched at a time, with their lines."""
_PLACE = "place__"
"""Numbers the records in the order of their keys. Equal keys share a number, and lines have their record's."""


class StagedColumn(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def data_type(self) -> str: ...


class StagedModel(Protocol):
    """What is read of one model in the contract."""

    @property
    def relation(self) -> str: ...
    @property
    def columns(self) -> Sequence[StagedColumn]: ...


class StagedRows:
    """The records of one model with their lines, as they were when this object was made.

    GP keeps changing while the two views are read. Lines are read first. A record that leaves the view in between then
    has lines but no row, and is passed over; it never seems to have lost its lines. A record without lines is read a
    second time: if it has lines now, it was added in between, and is left to the next run.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        model: StagedModel,
        key: Sequence[str],
        lines: StagedModel | None = None,
        via: str = "",
        lines_by: Sequence[str] = (),
        only: Iterable[str] | None = None,
        sought_by: str | None = None,
        prefixes: Sequence[str] = (),
    ) -> None:
        """`key` are the record's columns, `via` the line's column with that key; lines are sorted by `lines_by`.

        With `only`, only the records with these keys are read. Keys that are not staged are ignored. Where there is
        a column `sought_by`, it is compared as it is, so that an index finds the keys: in the records, and in the
        lines if they have it. It holds the keys as they were given, or folded, with or without one of the `prefixes`.
        """
        self._model, self._lines, self._via, self._lines_by = model, lines, via, lines_by
        self._sought_by, self._prefixes = sought_by, prefixes
        self._side = warehouse.side()
        self._key = key_expression(key, self._side.dialect)
        try:
            self._copy(None if only is None else list(only))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._side.close()

    def keys(self) -> list[str | None]:
        """The key of each record, in order, without trailing blanks; None for a record without a key."""
        rows = self._side.query(f"select {self._key} from {self._records} order by {_PLACE}")
        return [None if row[0] is None else str(row[0]).rstrip(" ") for row in rows]

    def distinct(self, model: StagedModel, columns: Sequence[str], where_not_null: str) -> list[Row]:
        """The distinct combinations of values in these columns of the records, or of the lines."""
        table = self._line_rows if model is self._lines else self._records
        names = ", ".join(map(quoted, columns))
        return self._side.query(f"select distinct {names} from {table} where {quoted(where_not_null)} is not null")

    def records(self) -> Iterator[tuple[StagedRow, list[StagedRow]]]:
        """Each record with its lines, sorted by key."""
        last = int(str(self._side.query(f"select coalesce(max({_PLACE}), 0) from {self._records}")[0][0]))
        for start in range(1, last + 1, AT_A_TIME):
            lines: dict[object, list[StagedRow]] = {}
            if self._lines:
                for place, line in self._rows(self._lines, self._line_rows, start, self._lines_by):
                    lines.setdefault(place, []).append(line)
            for place, record in self._rows(self._model, self._records, start):
                yield record, lines.get(place, [])

    # -------------------------------------------------------------------------------------------- copying

    def _copy(self, only: Sequence[str] | None) -> None:
        side, key = self._side, self._key
        condition = where = ""
        if only is not None:
            wanted = self._wanted("wanted", dict.fromkeys(map(fold, only)))
            bare = [key[len(each) :] for key in only for each in self._prefixes if fold(key).startswith(fold(each))]
            as_it_is = dict.fromkeys(
                form for key in [*only, *bare] for form in (key, fold(key))
            )  # DuckDB's views hold GP's keys folded
            sought = self._wanted("sought", as_it_is) if self._sought_by else ""
            condition = f" where {self._folded('{}')} in (select {quoted('wanted')} from {wanted})"
            where = condition.format(key)
            if self._sought_by:
                where = self._sought(self._model, where, sought)
        lines = ""
        if self._lines:
            of_these = condition.format(quoted(self._via))
            if only is not None and self._sought_by in {column.name for column in self._lines.columns}:
                of_these = self._sought(self._lines, of_these, sought)
            lines = self._read("lines_as_read", self._lines, _select(self._lines) + of_these)
        place = f"dense_rank() over (order by {self._folded(key)}) as {_PLACE}"
        self._records = self._read("records", self._model, _select(self._model, place) + where, _PLACE)
        if self._lines:
            self._leave_out_what_moved(lines)
            columns = ", ".join(f"line.{quoted(column.name)}" for column in self._lines.columns)
            self._line_rows = side.keep(
                "lines",
                f"select record.{_PLACE}, {columns} from {lines} as line inner join"
                f" (select distinct {_PLACE}, {self._folded(key)} as record_key from {self._records}) as record"
                f" on {self._folded(f'line.{quoted(self._via)}')} = record.record_key",
                sorted_by=_PLACE,
            )
            side.execute(f"drop table {lines}")

    def _sought(self, model: StagedModel, condition: str, sought: str) -> str:
        """The same condition after one that an index answers: its values have the type and collation of its column."""
        assert self._sought_by is not None
        named = quoted("wanted")
        if self._side.dialect != "duckdb":
            collation = collation_of(self._side, model.relation, self._sought_by) or "database_default"
            named = f"cast({named} as varchar(400)) collate {collation}"
        return (
            f" where {quoted(self._sought_by)} in (select {named} from {sought}) and{condition.removeprefix(' where')}"
        )

    def _read(self, name: str, model: StagedModel, select: str, sorted_by: str | None = None) -> str:
        try:
            return self._side.keep(name, select, sorted_by)
        except WarehouseBusy as error:
            raise WarehouseBusy(f"{model.relation} could not be read: {error.message}", error.remedy) from error

    def _leave_out_what_moved(self, lines: str) -> None:
        """Removes records that appeared or disappeared between the reading of their lines and of their own row."""
        assert self._lines is not None
        key, via = self._key, quoted(self._via)
        bare = self._side.query(
            f"select distinct {self._folded(key)} from {self._records} where {key} is not null"
            f" and {self._folded(key)} not in (select {self._folded(via)} from {lines} where {via} is not null)"
        )
        if not bare:
            return
        names = self._wanted("bare", [str(row[0]) for row in bare])
        among = f"in (select {quoted('wanted')} from {names})"
        came = f"select distinct {self._folded(via)} from {self._lines.relation} where {self._folded(via)} {among}"
        stays = f"select distinct {self._folded(key)} from {self._model.relation} where {self._folded(key)} {among}"
        moved = {str(row[0]) for row in self._side.query(came)}
        moved |= {str(row[0]) for row in bare} - {str(row[0]) for row in self._side.query(stays)}
        if moved:
            gone = self._wanted("moved", moved)
            self._side.execute(
                f"delete from {self._records} where {self._folded(key)} in (select {quoted('wanted')} from {gone})"
            )

    def _folded(self, expression: str) -> str:
        return folded(expression, self._side.dialect)

    def _wanted(self, name: str, keys: Iterable[str]) -> str:
        """A temporary table of any number of folded keys, so that no statement has to be repeated in parts."""
        kind = "varchar" if self._side.dialect == "duckdb" else "nvarchar(400)"
        none = self._folded(f"cast('' as {kind})")
        table = self._side.keep(name, f"select {none} as {quoted('wanted')} where 1 = 0")
        self._side.insert(table, [("wanted", kind)], [(key,) for key in keys])
        return table

    # -------------------------------------------------------------------------------------------- reading

    def _rows(
        self, model: StagedModel, table: str, start: int, order_by: Sequence[str] = ()
    ) -> Iterator[tuple[object, StagedRow]]:
        """The number and row of the records from number `start` on, or of their lines."""
        names = [column.name for column in model.columns]
        decimals = [number for number, column in enumerate(model.columns, 1) if self._comes_as_text(column)]
        expressions = [_PLACE, *map(quoted, names)]
        for position in decimals:
            expressions[position] = f"cast({expressions[position]} as varchar)"
        order = ", ".join([_PLACE, *map(quoted, order_by)])
        rows = self._side.query(
            f"select {', '.join(expressions)} from {table} where {_PLACE} between ? and ? order by {order}",
            [start, start + AT_A_TIME - 1],
        )
        columns: list[Sequence[object]] = list(zip(*rows, strict=True))
        for position in decimals if columns else ():
            columns[position] = [None if text is None else _decimal(str(text)) for text in columns[position]]
        for place, *values in zip(*columns, strict=True):
            yield place, dict(zip(names, values, strict=True))

    def _comes_as_text(self, column: StagedColumn) -> bool:
        """DuckDB returns decimals as text four times faster than as Decimal."""
        is_decimal = re.match(r"\s*(decimal|numeric)\b", column.data_type, re.IGNORECASE) is not None
        return is_decimal and self._side.dialect == "duckdb"


def key_expression(columns: Sequence[str], dialect: str) -> str:
    """A record's key in SQL: its column, or the texts of several with a separator between them."""
    if len(columns) == 1:
        return quoted(columns[0])
    kind, plus = ("varchar", "||") if dialect == "duckdb" else ("nvarchar(400)", "+")
    return f" {plus} '{KEY_SEPARATOR}' {plus} ".join(f"rtrim(cast({quoted(each)} as {kind}))" for each in columns)


def _select(model: StagedModel, *more: str) -> str:
    return f"select {', '.join([*more, *(quoted(column.name) for column in model.columns)])} from {model.relation}"


@lru_cache(maxsize=100_000)
def _decimal(text: str) -> Decimal:
    """Prices and quantities repeat, and creating a Decimal takes longer than finding an existing one."""
    return Decimal(text)
