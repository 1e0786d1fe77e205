"""Lands CRM's side of the staged records in the warehouse, for audit_crm_differences to compare."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from typing import Any

from loader.context import Context, Progress
from loader.contract import Column, Model
from loader.errors import LoaderError
from loader.keys import match_key, sent_key
from loader.push.gather import Records, read_known, read_looked_up
from loader.push.session import CHUNK, open_session
from loader.sync.binding import Binding, Bindings, Field
from loader.sync.canonical import Number, Text
from loader.sync.lookups import Index, LookupKey
from loader.sync.records import Current, currency_of, current
from loader.warehouse.connection import columns_of, quoted
from loader.warehouse.journal import utc_now

Rows = list[dict[str, object]]

COLUMNS = "crm_snapshot_column"
RECORDS = "crm_snapshot_record"
DIFFERENCES = "audit_crm_differences"
COLUMN_TYPES = {
    "snapshot_at": "timestamp",
    "crm_table": "varchar(128)",
    "column_name": "varchar(128)",
    "column_type": "varchar(30)",
    "max_length": "int",
    "rounding": "decimal(19,11)",
    "is_compared": "int",
    "why_not": "varchar(60)",
}
RECORD_TYPES = {
    "snapshot_at": "timestamp",
    "crm_table": "varchar(128)",
    "record_key": "varchar(300)",
    "crm_id": "varchar(36)",
    "parent_crm_id": "varchar(36)",
    "content": "varchar",
}


class SnapshotMissing(LoaderError):
    """The tables that hold the snapshot are not there."""

    code = "snapshot_missing"
    remedy = "Run `dbt build`, which creates the tables that models/journal/ describes."


@dataclass
class Reconciled:
    """What was read, and what disagrees."""

    snapshot_at: dt.datetime
    asked: int = 0
    records: int = 0
    lines: int = 0
    not_in_crm: int = 0
    unread: dict[str, str] = field(default_factory=dict)
    """Records of which CRM would not say what it has, and why; they are in no other figure but `asked`."""
    requests: dict[str, int] = field(default_factory=dict)
    differences: dict[str, int] = field(default_factory=dict)
    """Rows of audit_crm_differences by kind."""
    records_that_differ: int = 0
    tables: dict[str, dict[str, int]] = field(default_factory=dict)
    """The same figures by table: asked, read, not_in_crm and differing."""

    def as_json(self) -> dict[str, Any]:
        return {**vars(self), "snapshot_at": self.snapshot_at.isoformat(timespec="milliseconds") + "Z"}


def reconcile(context: Context, progress: Progress = lambda done, total: None) -> Reconciled:
    """Reads every staged or once pushed record back from CRM and replaces the snapshot by it, in one transaction.

    CRM is only read. Raises GuardTripped where the journal belongs to another CRM.
    """
    context.refuse_other_crm()
    report = Reconciled(utc_now())
    read: set[str] = set()
    for model in context.contract.models:
        if model.table not in read:
            _reconcile_table(context, model, report, progress)
            read.add(model.table)
    report.requests = context.requests
    _count_differences(context, report)
    return report


def _reconcile_table(context: Context, model: Model, report: Reconciled, progress: Progress) -> None:
    """Reads the table that `model` fills. What the others of its models stage is among the records once pushed."""
    bindings = context.bindings(model)
    bindings.refuse_problems()
    tables = _SnapshotTables(context, model)
    creating = [each for each in context.contract.models if each.table == model.table and each.meta.create == "always"]
    staged = [key for each in creating for key in context.keys(each)]
    known = context.journal.known_records(model.table)
    keys = {match_key(key): key for key in [*known, *staged]}
    report.asked += len(keys)
    counts = report.tables[model.table] = {"asked": len(keys), "read": 0, "not_in_crm": 0, "differing": 0}
    ids = {match_key(key): record.crm_id for key, record in known.items()}
    for each in creating if not bindings.base.has_plain_key else ():
        ids = {**_ids_by_parts(context, each), **ids}
    reader = _Reader(context, bindings, keys, ids, report.snapshot_at)
    with context.warehouse.exclusive("crm_snapshot"):
        tables.clear()
        tables.insert(COLUMNS, list(_held_columns(bindings.base, report.snapshot_at)))
        done = unread = 0
        for count, rows in reader.chunks(list(keys.values())):
            tables.insert(RECORDS, rows)
            records = [row for row in rows if row["crm_table"] == model.table]
            report.records += len(records)
            report.lines += len(rows) - len(records)
            names = {match_key(str(row["record_key"])) for row in records}
            lacking = count - len(names) - (len(reader.unread) - unread)
            report.not_in_crm += lacking
            counts["read"] += len(records)
            counts["not_in_crm"] += lacking
            unread = len(reader.unread)
            done += count
            progress(done, len(keys))
    report.unread |= reader.unread


def _ids_by_parts(context: Context, model: Model) -> dict[str, str]:
    """The ids of CRM's records whose keys have several columns, by match key: the journal may not know them."""
    staged = context.stage(model)
    session = open_session(context, staged)
    ids: dict[str, str] = {}
    records = staged.records()
    while chunk := list(islice(records, CHUNK)):
        for key, rows in session.read(chunk).rows.items():
            if rows:
                ids[key] = rows[0][session.bindings.base.table.id_column]
    return ids


class _SnapshotTables:
    """The two tables that take what is read of a model and of its lines."""

    def __init__(self, context: Context, model: Model) -> None:
        self._context = context
        self._of = [each.table for each in (model, model.children) if each]
        self._columns: dict[str, list[tuple[str, str]]] = {}
        for name, types in ((COLUMNS, COLUMN_TYPES), (RECORDS, RECORD_TYPES)):
            relation = context.contract.relations.get(name)
            present = columns_of(context.warehouse, relation) if relation else []
            if not present:
                raise SnapshotMissing(f"The warehouse has no table {relation or name}.")
            self._columns[name] = [(column, types[column]) for column in present if column in types]

    def clear(self) -> None:
        """Drops what the last snapshot says of this model's tables."""
        places = ", ".join("?" for _ in self._of)
        for name in self._columns:
            relation = self._context.contract.relations[name]
            self._context.warehouse.execute(
                f"delete from {relation} where {quoted('crm_table')} in ({places})", self._of
            )

    def insert(self, name: str, rows: Rows) -> None:
        columns = self._columns[name]
        if rows:
            self._context.warehouse.insert(
                self._context.contract.relations[name],
                columns,
                [tuple(row.get(column) for column, _ in columns) for row in rows],
            )


class _Reader:
    """Reads records from CRM in the columns and types in which they are staged."""

    def __init__(
        self,
        context: Context,
        bindings: Bindings,
        keys: Mapping[str, str],
        ids: Mapping[str, str],
        snapshot_at: dt.datetime,
    ) -> None:
        self._context, self._bindings, self._keys, self._ids, self._at = context, bindings, keys, ids, snapshot_at
        self._index = Index()
        self._known: dict[LookupKey, set[str]] = {}
        self.unread: dict[str, str] = {}

    def chunks(self, keys: Sequence[str]) -> Iterator[tuple[int, Rows]]:
        """(how many were asked for, their rows), read ahead by a few threads."""
        workers = self._context.settings.concurrency
        ahead: deque[tuple[int, Future[Records]]] = deque()
        with ThreadPoolExecutor(workers, thread_name_prefix="read") as readers:
            for start in range(0, len(keys), CHUNK):
                chunk = keys[start : start + CHUNK]
                ids = {key: self._ids.get(match_key(key), "") for key in chunk}
                ahead.append((len(chunk), readers.submit(read_known, self._context.client, self._bindings.base, ids)))
                if len(ahead) > workers:
                    yield self._rows(*ahead.popleft())
            while ahead:
                yield self._rows(*ahead.popleft())

    def _rows(self, count: int, future: Future[Records]) -> tuple[int, Rows]:
        held: list[tuple[Binding, Current, str]] = []
        records = future.result()
        self.unread |= {key: message for key, (_, message) in records.unread.items() if not records.rows[key]}
        for match, rows in records.rows.items():
            for row in rows:
                binding = self._bindings.in_currency(currency_of(row))
                held.append((binding, current(row, binding), self._keys[match]))
        self._look_up([(binding, record) for binding, record, _ in held])
        model = self._bindings.model
        snapshot: Rows = []
        for binding, record, key in held:
            own = {}
            if binding.has_plain_key:
                key = self._key(str(record.values[model.key_column]))
                own = {model.key_column: key}
            snapshot.append(self._row(record, binding, key, own))
            for line in record.lines:
                assert binding.lines is not None
                assert model.meta.children is not None
                snapshot.append(self._row(line, binding.lines, key, {model.meta.children.via: key}, record.id))
        return count, snapshot

    def _key(self, name: str) -> str:
        """The staged key of CRM's record, which may hold characters that CRM refuses."""
        staged = self._keys.get(match_key(name), name)
        return staged if sent_key(staged) == name else name

    def _look_up(self, held: Sequence[tuple[Binding, Current]]) -> None:
        """Reads the rows that the records point to and that are not known yet."""
        wanted: dict[LookupKey, set[str]] = {}
        for binding, record in held:
            for bound, its in ((binding, record), *((binding.lines, line) for line in record.lines if binding.lines)):
                for field_ in bound.fields:
                    id_ = its.values.get(field_.name)
                    if field_.lookup_key and id_ is not None:
                        wanted.setdefault(field_.lookup_key, set()).add(str(id_))
        for key, ids in wanted.items():
            ids -= self._known.setdefault(key, set())
            self._known[key] |= ids
        read_looked_up(self._context.client, self._context.tables, self._index, wanted)

    def _row(
        self, record: Current, binding: Binding, key: str, own: Mapping[str, object], parent: str | None = None
    ) -> dict[str, object]:
        """One row of crm_snapshot_record; `own` are values that are the staged ones and not CRM's."""
        content: dict[str, object] = dict(record.state)
        for field_ in binding.fields:
            value = record.values.get(field_.name)
            if field_.lookup is None:
                is_day = field_.column.data_type.lower() == "date"
                content[field_.name] = as_staged(value if is_day else field_.type.staged(value), field_.column)
            elif value is not None:
                for name, staged in self._index.values(field_.lookup, str(value)).items():
                    content[name] = as_staged(staged, binding.model.column(name))
        content |= own
        return {
            "snapshot_at": self._at,
            "crm_table": binding.model.table,
            "record_key": key,
            "crm_id": record.id,
            "parent_crm_id": parent,
            "content": json.dumps(content, default=_text, ensure_ascii=False),
        }


def _text(value: object) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def as_staged(value: object, column: Column) -> object:
    """CRM's value in the type in which the column is staged; what does not fit is cut, or is the nearest that does."""
    if value is None:
        return None
    kind = column.data_type.lower()
    if "char" in kind:
        width = re.search(r"\d+", kind)
        return str(value)[: int(width[0])] if width else str(value)
    if kind.startswith(("timestamp", "date")):
        return dt.datetime.fromisoformat(str(value).removesuffix("Z"))
    if size := re.match(r"(?:decimal|numeric)\s*\((\d+)\s*,\s*(\d+)\)", kind):
        scale = Decimal(1).scaleb(-int(size[2]))
        largest = Decimal(10) ** (int(size[1]) - int(size[2])) - scale
        return min(max(Decimal(str(value)), -largest), largest).quantize(scale)
    return int(str(value)) if not isinstance(value, bool) else int(value)


def _held_columns(binding: Binding, at: dt.datetime, via: str = "") -> Iterator[dict[str, object]]:
    """What crm_snapshot_column says of the columns of a table and of its lines'."""
    fields = {field.name: field for field in (*binding.fields, *binding.state_fields)}
    for column in binding.model.sent:
        if column.name != via:
            found = fields.get(column.name)
            why_not = _why_not(column, found, binding, is_line=bool(via))
            yield {
                "snapshot_at": at,
                "crm_table": binding.table.name,
                "column_name": column.name,
                "column_type": found.type.name if found else None,
                "max_length": found.type.max_length if found and isinstance(found.type, Text) else None,
                "rounding": _rounding(found.type.precision) if found and isinstance(found.type, Number) else None,
                "is_compared": 0 if why_not else 1,
                "why_not": why_not,
            }
    if binding.lines and binding.model.meta.children:
        yield from _held_columns(binding.lines, at, binding.model.meta.children.via)


def _why_not(column: Column, found: Field | None, binding: Binding, is_line: bool) -> str | None:
    """Why a push does not make CRM equal to what is staged. A line that differs is deleted and created again."""
    if found is None:
        return "computed by CRM" if column.name in binding.table.attributes else "absent in CRM"
    return None if found.on_update or is_line else "set only on creation"


def _rounding(precision: int) -> Decimal:
    return Decimal(5).scaleb(-precision - 1)


def _count_differences(context: Context, report: Reconciled) -> None:
    relation = context.contract.relations.get(DIFFERENCES)
    if relation is None or not columns_of(context.warehouse, relation):
        return
    for kind, table, count, records in context.warehouse.query(
        f"select difference, crm_table, count(*), count(distinct coalesce(record_key, '')) from {relation}"
        " group by grouping sets ((difference), (crm_table))"
    ):
        if kind is not None:
            report.differences[str(kind)] = int(str(count))
        else:
            report.records_that_differ += int(str(records))
            report.tables.get(str(table), {})["differing"] = int(str(records))
    report.differences = dict(sorted(report.differences.items()))
