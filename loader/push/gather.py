"""Reads from CRM what planning needs, in bulk: the look-up tables once, then the records in question."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

from loader.dataverse.batch import Query
from loader.dataverse.client import Client, RequestFailed
from loader.dataverse.errors import CrmError
from loader.dataverse.metadata import Table
from loader.dataverse.query import literal
from loader.dataverse.query import rows as rows_path
from loader.dataverse.reading import Read, Refusal, read_rows, shape_of
from loader.dataverse.replies import Shape
from loader.keys import match_key, near_key, sent_key
from loader.sync.binding import Binding, Field
from loader.sync.lookups import Index, LookupKey, parent_table
from loader.sync.records import Row, Staged


def read_lookups(client: Client, tables: Mapping[str, Table], wanted: Mapping[LookupKey, Iterable[str]]) -> Index:
    """Every CRM row that one of the staged values names. `wanted` holds the values of each look-up's own column."""
    index = Index(Lock())
    reads, asked = _lookup_reads(tables, wanted)
    for read, found in read_rows(client, asked):
        if isinstance(found, Refusal):
            index.refuse(reads[read], found.value, str(found.error))
        else:
            index.add(reads[read], read.table, found)
    return index


def read_looked_up(
    client: Client, tables: Mapping[str, Table], index: Index, wanted: Mapping[LookupKey, Iterable[str]]
) -> None:
    """Adds the CRM rows of these ids to `index`, so that it can tell by which values they are looked up."""
    reads = {_lookup_read(key, tables, tables[key.table].id_column): key for key in wanted}
    for read, found in read_rows(client, [(read, sorted(wanted[key])) for read, key in reads.items()]):
        if not isinstance(found, Refusal):
            index.add(reads[read], read.table, found)


@dataclass(frozen=True)
class Records:
    """CRM's records of some keys with their lines, by match key."""

    rows: dict[str, list[Row]]
    unread: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Keys whose records are not known: reason code and message."""
    adoptable: dict[str, list[Row]] = field(default_factory=dict)
    """By the first column of `adopt_by`, as keys are compared: CRM's records without a key."""
    near: dict[str, dict[str, str]] = field(default_factory=dict)
    """By `near_key`: CRM's id → key of the records that CRM found and that have another key than any asked for."""


def read_records(client: Client, binding: Binding, keys: Sequence[str]) -> Records:
    """CRM's records of these names with their lines; one request for up to 500."""
    read = _record_read(binding)
    found: dict[str, dict[str, Row]] = {match_key(key): {} for key in keys}
    records = Records({})
    for _, rows in read_rows(client, [(read, [sent_key(key) for key in keys])], together=1):
        if isinstance(rows, Refusal):
            message = f"CRM refuses to look for {binding.key.name} {rows.value!r}: {rows.error}"
            records.unread[match_key(rows.value)] = ("value_refused", message)
            continue
        for row in rows:
            name = row[binding.key.name] or ""
            key = match_key(name)
            if key not in found:
                records.near.setdefault(near_key(name), {})[row[binding.table.id_column].lower()] = name
            versioned = _with_version(client, row, read) if key in found else None
            if versioned:
                found[key][row[binding.table.id_column]] = _with_all_lines(client, versioned, binding)
    return _versioned(records, found, binding)


KEYS_AT_A_TIME = 100
"""Keys of several columns in one filter: CRM takes 500 conditions."""


def read_by_parts(client: Client, binding: Binding, parts: Mapping[str, Sequence[object]]) -> Records:
    """CRM's records with these keys of several columns, by match key. `parts`: the values of the key's columns.

    A look-up's value is the id of the row that it finds; where one is None, CRM cannot have the record.
    """
    found: dict[str, dict[str, Row]] = {match_key(key): {} for key in parts}
    by_values = {_folded(values): match_key(key) for key, values in parts.items() if None not in values}
    records = Records({})
    read = _record_read(binding)
    asked = [(key, values) for key, values in parts.items() if None not in values]
    waiting = deque(asked[start : start + KEYS_AT_A_TIME] for start in range(0, len(asked), KEYS_AT_A_TIME))
    while waiting:
        chunk = waiting.popleft()
        condition = " or ".join(f"({_equals(binding, values)})" for _, values in chunk)
        (answer,) = client.ask([Query(rows_path(binding.table.entity_set, read.select, read.expand, condition))])
        if isinstance(answer, CrmError):
            middle = len(chunk) // 2
            if middle:
                waiting += [chunk[:middle], chunk[middle:]]
            else:
                records.unread[match_key(chunk[0][0])] = ("value_refused", f"CRM refuses to look for it: {answer}")
            continue
        for page in client.pages_from(answer):
            for row in map(read.shape.check, page):
                key = by_values.get(_folded([row[field_.wire_name] for field_ in binding.keys]))
                versioned = _with_version(client, row, read) if key is not None else None
                if key is not None and versioned:
                    found[key][row[binding.table.id_column]] = _with_all_lines(client, versioned, binding)
    return _versioned(records, found, binding)


def read_by_ids(client: Client, binding: Binding, ids: Mapping[str, str]) -> Records:
    """CRM's records of these ids, by match key. `ids`: key → id, blank for a record that CRM does not have."""
    read = replace(_record_read(binding), column=binding.table.id_column)
    found: dict[str, dict[str, Row]] = {match_key(key): {} for key in ids}
    keys = {id_.lower(): match_key(key) for key, id_ in ids.items() if id_}
    for _, rows in read_rows(client, [(read, sorted(filter(None, keys)))], together=1):
        for row in rows if not isinstance(rows, Refusal) else ():
            id_ = row[binding.table.id_column]
            versioned = _with_version(client, row, read)
            if versioned:
                found[keys[id_.lower()]][id_] = _with_all_lines(client, versioned, binding)
    return _versioned(Records({}), found, binding)


def read_known(client: Client, binding: Binding, ids: Mapping[str, str]) -> Records:
    """CRM's records that the journal knows, key → id: by their keys, or by their ids where a key has several parts."""
    return read_records(client, binding, list(ids)) if binding.has_plain_key else read_by_ids(client, binding, ids)


def _folded(values: Iterable[object]) -> tuple[str, ...]:
    return tuple(match_key("" if value is None else value) for value in values)


def _equals(binding: Binding, values: Sequence[object]) -> str:
    pairs = zip(binding.keys, values, strict=True)
    return " and ".join(f"{field_.wire_name} eq {_compared(field_, value)}" for field_, value in pairs)


def _compared(field_: Field, value: object) -> object:
    return value if field_.navigation or not isinstance(value, str) else literal(sent_key(value))


def _versioned(records: Records, found: Mapping[str, Mapping[str, Row]], binding: Binding) -> Records:
    """Of which records CRM gives no version, so that nobody could tell whether they moved meanwhile."""
    for key, held in found.items():
        records.rows[key] = list(held.values())
        if not all(row.get("@odata.etag") for row in held.values()):
            records.unread[key] = ("version_missing", f"CRM gives no version of {binding.key.name} {key!r}")
    return records


def read_adoptable(client: Client, binding: Binding, records: Iterable[Staged]) -> dict[str, list[Row]]:
    """CRM's records without a key that have the first column of `adopt_by` in common with one of these."""
    first = binding.model.meta.adopt_by[0]
    values = {match_key(record.row[first]): sent_key(record.row[first]) for record in records if record.row[first]}
    read = replace(_record_read(binding), column=first, besides=f"{binding.key.name} eq null")
    found: dict[str, dict[str, Row]] = {}
    for _, rows in read_rows(client, [(read, sorted(values.values()))], together=1) if values else ():
        for row in rows if not isinstance(rows, Refusal) else ():
            versioned = _with_version(client, row, read)
            if versioned and versioned.get("@odata.etag"):
                same = found.setdefault(match_key(row[first] or ""), {})
                same[row[binding.table.id_column]] = _with_all_lines(client, versioned, binding)
    return {value: list(rows.values()) for value, rows in found.items()}


def open_keys(client: Client, binding: Binding, only: Iterable[str] | None = None) -> list[str]:
    """The keys of all records of a table, or of those named, that CRM does not hold in a closed state."""
    states, key = binding.model.meta.state, binding.key.name
    is_open = [f"statecode ne {state}" for state in (states.closed if states else [])]
    if only is None:
        path = rows_path(binding.table.entity_set, [key], condition=" and ".join([f"{key} ne null", *is_open]))
        return sorted({str(row[key]) for page in client.pages(path) for row in page if row.get(key)})
    select = (binding.table.id_column, key)
    read = Read(binding.table, key, select, shape_of(binding.table, select), besides=" and ".join(is_open) or None)
    wanted = {match_key(name): sent_key(name) for name in only}
    return sorted(
        {
            str(row[key])
            for _, rows in read_rows(client, [(read, sorted(wanted.values()))])
            for row in (rows if not isinstance(rows, Refusal) else ())
            if match_key(row[key] or "") in wanted
        }
    )


def renew_lookups(
    client: Client, tables: Mapping[str, Table], index: Index, wanted: Mapping[LookupKey, Iterable[str]]
) -> None:
    """Reads the rows that these values of look-ups name again: this run has changed them since."""
    reads, asked = _lookup_reads(tables, wanted)
    for read, found in read_rows(client, [(read, values) for read, values in asked if values]):
        if not isinstance(found, Refusal):
            index.renew(reads[read], read.table, found)


def _record_read(binding: Binding) -> Read:
    children = None
    expand = None
    if binding.lines:
        expand = f"{binding.lines_navigation}($select={','.join(binding.lines.select)})"
        children = (binding.lines_navigation, shape_of(binding.lines.table, binding.lines.select))
    shape = shape_of(binding.table, binding.select, children=children)
    return Read(binding.table, binding.key.name, binding.select, shape, expand)


def _with_all_lines(client: Client, row: dict[str, Any], binding: Binding) -> dict[str, Any]:
    """Reads lines that were not expanded: before 9.1 there is an empty list, and a link to the lines.

    See docs/dataverse.md, "Look-ups and filters".
    """
    link = row.get(f"{binding.lines_navigation}@odata.nextLink")
    if binding.lines and link and not row[binding.lines_navigation]:
        shape = shape_of(binding.lines.table, binding.lines.select)
        lines = (shape.check(line) for page in client.pages(link) for line in page)
        row[binding.lines_navigation] = list({line[shape.id_column]: line for line in lines}.values())
    return row


def _with_version(client: Client, row: dict[str, Any], read: Read) -> dict[str, Any] | None:
    """The record, read once more where it came without a version; None where it is gone."""
    if row.get("@odata.etag"):
        return row
    try:
        return read.shape.check(client.get(read.path_of(row[read.table.id_column])))
    except RequestFailed as refused:
        if refused.error.status != 404:
            raise
        return None


def _lookup_reads(
    tables: Mapping[str, Table], wanted: Mapping[LookupKey, Iterable[str]]
) -> tuple[dict[Read, LookupKey], list[tuple[Read, list[str]]]]:
    """The reading of each look-up, and the values to ask for in it, each once however it is written."""
    reads = {_lookup_read(key, tables): key for key in wanted}
    asked = [
        (read, sorted({match_key(value): sent_key(value) for value in wanted[key]}.values()))
        for read, key in reads.items()
    ]
    return reads, asked


def _lookup_read(key: LookupKey, tables: Mapping[str, Table], by: str = "") -> Read:
    table = tables[key.table]
    steps: dict[str, list[str]] = {}
    for path in (*key.paths, *key.reads):
        head, dot, column = path.partition(".")
        if dot and column not in steps.setdefault(head, []):
            steps[head].append(column)
    related = {table.navigation(*parent_table(head, table)): columns for head, columns in steps.items()}
    expand = ",".join(f"{navigation}($select={','.join(columns)})" for navigation, columns in related.items())
    select = [
        table.id_column,
        *(path for path in (*key.paths, *key.reads) if "." not in path),
        *(f"_{path.partition('.')[0]}_value" for path in key.reads if "." in path),
        *(["_ownerid_value"] if "ownerid" in table.attributes else []),
    ]
    select = list(dict.fromkeys(select))
    shape = shape_of(table, select, {each: Shape("", dict.fromkeys(columns, "")) for each, columns in related.items()})
    return Read(table, by or key.own_column, tuple(select), shape, expand or None)
