"""What dbt staged for one CRM table: its `crm_*` views, read once into temporary tables and from there in parts."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import Protocol

from loader.keys import KEY_SEPARATOR, fold, folded
from loader.warehouse.connection import Row, Warehouse, WarehouseBusy, collation_of, quoted
from loader.warehouse.digest import digest, joined, row_text, shown, together

StagedRow = dict[str, object]
"""Column → str, int, Decimal, datetime (naive, UTC), date, bool or None."""

AT_A_TIME = 2_000
"""How many records are fetched at a time, with their lines."""
_KEY = "key__"
"""The key of a record, or of the record that a line is of, as keys are compared."""
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


@dataclass(frozen=True)
class Moved:
    """What may have moved in CRM: keys and values folded, ids in small letters, those of lines without hyphens."""

    keys: Collection[str] = ()
    ids: Collection[str] = ()
    line_ids: Collection[str] = ()
    naming: Sequence[tuple[StagedModel, str, Collection[str]]] = ()
    """Model, column, values: records that have one of these values there, or whose lines have."""


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
        self._due: _Due | None = None
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
        return self._keys_in()

    def _keys_in(self, where: str = "") -> list[str | None]:
        rows = self._side.query(f"select {self._key} from {self._records} {where} order by {_KEY}")
        return [None if row[0] is None else str(row[0]).rstrip(" ") for row in rows]

    def distinct(
        self, model: StagedModel, columns: Sequence[str], where_not_null: str, *, due: bool = True
    ) -> list[Row]:
        """The distinct combinations of values in these columns of the records, or of the lines.

        After `narrow` those of the records that are due, or of all.
        """
        table = self._table(model) if due and self._due else self._every(model)
        names = ", ".join(map(quoted, columns))
        return self._side.query(f"select distinct {names} from {table} where {quoted(where_not_null)} is not null")

    def records(self) -> Iterator[tuple[StagedRow, list[StagedRow]]]:
        """Each record with its lines, sorted by key."""
        return ((record, lines) for _, record, lines in self._placed())

    def digested(self) -> Iterator[tuple[StagedRow, list[StagedRow], str]]:
        """The same, each with the digest of all that is staged of it."""
        digests: dict[object, str] = {}
        for place, record, lines in self._placed():
            if place not in digests:
                digests = dict(self._digests_from(int(str(place))))
            yield record, lines, digests[place]

    def _placed(self, tables: tuple[str, str] | None = None) -> Iterator[tuple[object, StagedRow, list[StagedRow]]]:
        """The records in these temporary tables, or those that are due, each with its place and lines."""
        table, table_of_lines = tables or self._tables
        for start in self._starts(table):
            lines: dict[object, list[StagedRow]] = {}
            if self._lines:
                for place, line in self._rows(self._lines, table_of_lines, start, self._lines_by):
                    lines.setdefault(place, []).append(line)
            for place, record in self._rows(self._model, table, start):
                yield place, record, lines.get(place, [])

    # ------------------------------------------------------------------------------------------- comparing

    def gone(self, known: str) -> list[str]:
        """The folded keys of records that are not staged, and that were compared, or of which something was said.

        `known`: as in `narrow`, of this moment.
        """
        rows = self._side.query(
            f"select known.match_key from ({self._comparable(known)}) as known left join {self._digests} as digests"
            f" on digests.{_KEY} = known.match_key where digests.{_KEY} is null"
            " and (known.digest is not null or known.outcome is not null)"
        )
        return [str(key) for (key,) in rows]

    def narrow(self, known: str, waiting: str, moved: Moved) -> list[str]:
        """Has `records` and `distinct` give only the records that are due; returns their keys, sorted.

        `known`: a select of match_key, crm_id, digest and line_ids of the records that the journal knows; `waiting`: a
        select of the folded keys that are due whatever they are. Due are also records of which the journal has no
        digest or another one, keys that are staged more than once, and what `moved` names.
        """
        side, digests = self._side, self._digests
        known = side.keep("known", self._comparable(known))
        conditions = [
            "known.digest is null",
            "known.digest <> digests.digest",
            "digests.copies > 1",
            f"digests.{_KEY} in (select match_key from ({self._comparable(waiting)}) as waiting)",
        ]
        for name, values, column in (
            ("moved_keys", moved.keys, f"digests.{_KEY}"),
            ("moved_ids", moved.ids, "known.crm_id"),
        ):
            if values:
                conditions.append(f"{column} in (select {quoted('wanted')} from {self._wanted(name, values)})")
        if moved.line_ids:
            gone = self._wanted("moved_lines", moved.line_ids)
            conditions.append(f"digests.{_KEY} in ({self._keys_with_lines(known, gone)})")
        for number, (model, column, values) in enumerate(moved.naming):
            named = self._wanted(f"named_{number}", values)
            value, table = f"cast({quoted(column)} as {self._text})", self._every(model)
            conditions.append(
                f"digests.{_KEY} in (select {_KEY} from {table}"
                f" where {self._folded(value)} in (select {quoted('wanted')} from {named}))"
            )
        due = side.keep(
            "due",
            f"select distinct digests.{_PLACE}, digests.{_KEY} from {digests} as digests left join {known} as known"
            f" on known.match_key = digests.{_KEY} where {' or '.join(conditions)}",
            sorted_by=_PLACE,
        )
        self._due = _Due(side, digests, known, due, self._placed_in)
        return [str(key) for key in self._keys_in(f"where {_KEY} in (select {_KEY} from {due})")]

    def noted(self) -> list[tuple[str, str, str, int]]:
        """After `narrow`: of how many records that are not due the same outcome, reason and warnings are noted."""
        assert self._due is not None
        rows = self._side.query(
            f"select outcome, reason, warnings, count(*) from {self._due.noted} group by outcome, reason, warnings"
        )
        return [
            (str(outcome), str(why or ""), str(codes or ""), int(str(count))) for outcome, why, codes, count in rows
        ]

    def absent(self) -> Iterator[tuple[StagedRow, list[StagedRow], str, str]]:
        """After `narrow`: the records that are not due and that CRM does not have, with reason and message."""
        assert self._due is not None
        noted = self._due.noted
        rows = self._side.query(f"select {_PLACE}, reason, message from {noted} where crm_id is null")
        whys = {place: (str(reason), str(message)) for place, reason, message in rows}
        if whys:
            absent = f"(select {_PLACE}, {_KEY} from {noted} where crm_id is null)"
            for place, record, lines in self._placed(self._placed_in("absent", absent)):
                yield record, lines, *whys[place]

    def _comparable(self, select: str) -> str:
        """The same select, with keys and ids that can be compared with folded ones."""
        columns = []
        for name in ("match_key", "crm_id", "digest", "line_ids", "outcome", "reason", "message", "warnings"):
            if name in select.partition(" from ")[0]:
                folds = name in ("match_key", "crm_id")
                columns.append(f"{self._folded(f'cast({name} as {self._text})')} as {name}" if folds else name)
        return f"select {', '.join(columns)} from ({select}) as given"

    def _keys_with_lines(self, known: str, ids: str) -> str:
        """A select of the keys of the known records that have one of these lines."""
        wanted = f"in (select {quoted('wanted')} from {ids})"
        if self._side.dialect == "duckdb":
            each = f"select match_key, unnest(string_split(line_ids, ',')) as line_id from {known}"
            return f"select match_key from ({each} where line_ids is not null) as line where line_id {wanted}"
        line = "cast(line.value as nvarchar(400)) collate Latin1_General_BIN2"
        return f"select match_key from {known} cross apply string_split(line_ids, ',') as line where {line} {wanted}"

    def _every(self, model: StagedModel) -> str:
        """The temporary table with all rows of a model, as they were read."""
        return self._line_rows if model is self._lines else self._records

    def _table(self, model: StagedModel) -> str:
        """The temporary table with the rows of a model: of those that are due, after `narrow`."""
        records, lines = self._tables
        return lines if model is self._lines else records

    @property
    def _tables(self) -> tuple[str, str]:
        """The temporary tables with the records, and with their lines: of those that are due, after `narrow`."""
        return self._due.tables if self._due else self._all_placed

    @cached_property
    def _all_placed(self) -> tuple[str, str]:
        place = f"dense_rank() over (order by {_KEY})"
        return self._placed_in("every", f"(select distinct {place} as {_PLACE}, {_KEY} from {self._records})")

    def _placed_in(self, name: str, places: str) -> tuple[str, str]:
        """Temporary tables with the records of these places and keys, in order, and with their lines."""
        lines = self._in_order(f"{name}_lines", self._lines, places) if self._lines else ""
        return self._in_order(f"{name}_records", self._model, places), lines

    def _in_order(self, name: str, model: StagedModel, places: str) -> str:
        columns = ", ".join(f"of_key.{quoted(column.name)}" for column in model.columns)
        return self._side.keep(
            name,
            f"select place.{_PLACE}, {columns} from {self._every(model)} as of_key"
            f" inner join {places} as place on place.{_KEY} = of_key.{_KEY}",
            sorted_by=_PLACE,
        )

    @cached_property
    def _digests(self) -> str:
        """A temporary table: each key and its place, how many rows have it, and the digest of all of it."""
        side, dialect = self._side, self._side.dialect
        of_row = digest(row_text(self._model.columns, dialect), dialect)
        parts = [f"'{self._model.relation.replace(chr(39), chr(39) * 2)}'", "record.content"]
        lines = ""
        if self._lines:
            of_line = digest(row_text(self._lines.columns, dialect), dialect)
            parts.append("line.content")
            lines = (
                f" left join (select {_KEY}, {together('hash', dialect)} as content"
                f" from (select {_KEY}, {of_line} as hash from {self._line_rows}) as each_line"
                f" group by {_KEY}) as line on line.{_KEY} = record.{_KEY}"
            )
        return side.keep(
            "digests",
            f"select row_number() over (order by {_KEY}) as {_PLACE}, {_KEY}, copies,"
            f" {shown('hash', dialect)} as digest"
            f" from (select record.{_KEY}, record.copies, {digest(joined(parts, dialect), dialect)} as hash"
            f" from (select {_KEY}, count(*) as copies, {together('hash', dialect)} as content"
            f" from (select {_KEY}, {of_row} as hash from {self._records}) as each_record"
            f" group by {_KEY}) as record{lines}) as hashed",
            sorted_by=_PLACE,
        )

    def _starts(self, table: str) -> list[int]:
        """Where to begin, so that each time at most `AT_A_TIME` places are read and all that are there come in turn."""
        part = f"({_PLACE} - 1) / {AT_A_TIME}" if self._side.dialect != "duckdb" else f"({_PLACE} - 1) // {AT_A_TIME}"
        parts = self._side.query(f"select distinct {part} as part from {table} order by part")
        return [int(str(part)) * AT_A_TIME + 1 for (part,) in parts]

    def _digests_from(self, start: int) -> Iterator[tuple[object, str]]:
        rows = self._side.query(
            f"select {_PLACE}, digest from {self._digests} where {_PLACE} between ? and ?",
            [start, start + AT_A_TIME - 1],
        )
        return ((place, str(each)) for place, each in rows)

    # -------------------------------------------------------------------------------------------- copying

    def _copy(self, only: Sequence[str] | None) -> None:
        key = self._key
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
        self._line_rows = ""
        if self._lines:
            of_these = condition.format(quoted(self._via))
            if only is not None and self._sought_by in {column.name for column in self._lines.columns}:
                of_these = self._sought(self._lines, of_these, sought)
            self._line_rows = self._read("lines", self._lines, quoted(self._via), of_these)
        self._records = self._read("records", self._model, key, where)
        if self._lines:
            self._leave_out_what_moved()

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

    def _read(self, name: str, model: StagedModel, key: str, where: str) -> str:
        columns = ", ".join([f"{self._folded(key)} as {_KEY}", *(quoted(column.name) for column in model.columns)])
        try:
            return self._side.keep(name, f"select {columns} from {model.relation}{where}")
        except WarehouseBusy as error:
            raise WarehouseBusy(f"{model.relation} could not be read: {error.message}", error.remedy) from error

    def _leave_out_what_moved(self) -> None:
        """Removes records that appeared or disappeared between the reading of their lines and of their own row."""
        assert self._lines is not None
        via = quoted(self._via)
        bare = self._side.query(
            f"select distinct {_KEY} from {self._records} where {_KEY} is not null"
            f" and {_KEY} not in (select {_KEY} from {self._line_rows} where {_KEY} is not null)"
        )
        if not bare:
            return
        names = self._wanted("bare", [str(row[0]) for row in bare])
        among = f"in (select {quoted('wanted')} from {names})"
        came = f"select distinct {self._folded(via)} from {self._lines.relation} where {self._folded(via)} {among}"
        key = self._folded(self._key)
        stays = f"select distinct {key} from {self._model.relation} where {key} {among}"
        moved = {str(row[0]) for row in self._side.query(came)}
        moved |= {str(row[0]) for row in bare} - {str(row[0]) for row in self._side.query(stays)}
        if moved:
            gone = self._wanted("moved", moved)
            self._side.execute(f"delete from {self._records} where {_KEY} in (select {quoted('wanted')} from {gone})")

    @property
    def _text(self) -> str:
        return "varchar" if self._side.dialect == "duckdb" else "nvarchar(400)"

    def _folded(self, expression: str) -> str:
        return folded(expression, self._side.dialect)

    def _wanted(self, name: str, keys: Iterable[str]) -> str:
        """A temporary table of any number of folded keys, so that no statement has to be repeated in parts."""
        kind = self._text
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


@dataclass(frozen=True)
class _Due:
    """Temporary tables about the records that are due, and about the others. Each is made when it is asked for."""

    side: Warehouse
    digests: str
    known: str
    places: str
    """The records that are due, by place and key."""
    placed_in: Callable[[str, str], tuple[str, str]]

    @cached_property
    def tables(self) -> tuple[str, str]:
        """The records that are due, and their lines."""
        return self.placed_in("due", self.places)

    @cached_property
    def noted(self) -> str:
        """The records that are not due and of which something was said."""
        said = ", ".join(f"known.{name}" for name in ("crm_id", "outcome", "reason", "message", "warnings"))
        return self.side.keep(
            "noted",
            f"select digests.{_PLACE}, digests.{_KEY}, {said} from {self.digests} as digests"
            f" inner join {self.known} as known on known.match_key = digests.{_KEY}"
            f" where known.outcome is not null and digests.{_PLACE} not in (select {_PLACE} from {self.places})",
            sorted_by=_PLACE,
        )


def key_expression(columns: Sequence[str], dialect: str) -> str:
    """A record's key in SQL: its column, or the texts of several with a separator between them."""
    if len(columns) == 1:
        return quoted(columns[0])
    kind, plus = ("varchar", "||") if dialect == "duckdb" else ("nvarchar(400)", "+")
    return f" {plus} '{KEY_SEPARATOR}' {plus} ".join(f"rtrim(cast({quoted(each)} as {kind}))" for each in columns)


@lru_cache(maxsize=100_000)
def _decimal(text: str) -> Decimal:
    """Prices and quantities repeat, and creating a Decimal takes longer than finding an existing one."""
    return Decimal(text)
