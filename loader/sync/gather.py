"""Reads from CRM what planning needs, in bulk: the look-up tables once, then the orders in question."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from loader.contract import Model
from loader.dataverse.batch import Query
from loader.dataverse.client import Client
from loader.dataverse.metadata import Table
from loader.dataverse.query import chunks, rows_where_in
from loader.sync.binding import Binding
from loader.sync.lookups import Index, LookupKey, match_key, parent_table, sent_key
from loader.sync.records import Row


def read_lookups(client: Client, tables: Mapping[str, Table], wanted: Mapping[LookupKey, Iterable[str]]) -> Index:
    """Every CRM row that one of the staged values names. `wanted` holds the values of each look-up's own column."""
    index = Index()
    reads = [
        (key, Query(_lookup_path(key, tables, chunk)))
        for key, values in wanted.items()
        for chunk in chunks(sorted({match_key(value): sent_key(value) for value in values}.values()))
    ]
    answers = client.query([query for _, query in reads]) if reads else []
    for (key, _), answer in zip(reads, answers, strict=True):
        index.add(key, tables[key.table], answer["value"])
        while next_link := answer.get("@odata.nextLink"):
            answer = client.get(next_link)
            index.add(key, tables[key.table], answer["value"])
    return index


def read_looked_up(
    client: Client, tables: Mapping[str, Table], index: Index, wanted: Mapping[LookupKey, Iterable[str]]
) -> None:
    """Adds the CRM rows of these ids to `index`, so that it can tell by which values they are looked up."""
    for key, ids in wanted.items():
        table = tables[key.table]
        for chunk in chunks(sorted(ids)):
            for page in client.pages(_lookup_path(key, tables, chunk, table.id_column)):
                index.add(key, table, page)


def lookup_columns(model: Model) -> dict[LookupKey, list[tuple[Model, str]]]:
    """For each look-up, where the values of its own column are staged: (model, column)."""
    columns: dict[LookupKey, list[tuple[Model, str]]] = {}
    for each in [model, model.children] if model.children else [model]:
        for column in each.sent:
            lookup = column.meta.lookup
            if lookup:
                key = LookupKey.of(lookup)
                columns.setdefault(key, []).append((each, lookup.match[key.own_column]))
    return columns


def read_orders(client: Client, binding: Binding, keys: Sequence[str]) -> dict[str, list[Row]]:
    """CRM's records of these names with their lines, by match key; one request for up to 500."""
    expand = None
    if binding.lines:
        expand = f"{binding.lines_navigation}($select={','.join(binding.lines.select)})"
    found: dict[str, list[Row]] = {match_key(key): [] for key in keys}
    for chunk in chunks([sent_key(key) for key in keys]):
        path = rows_where_in(binding.table.entity_set, binding.key.name, chunk, binding.select, expand)
        for page in client.pages(path):
            for row in page:
                held = found.get(match_key(row[binding.key.name]))
                if held is not None:
                    held.append(_with_all_lines(client, row, binding))
    return found


def _with_all_lines(client: Client, row: dict[str, Any], binding: Binding) -> dict[str, Any]:
    """Versions before 9.1 expand a collection to an empty list and a link to it (dataverse facts 3.6)."""
    link = row.get(f"{binding.lines_navigation}@odata.nextLink")
    if link and not row[binding.lines_navigation]:
        row[binding.lines_navigation] = [line for page in client.pages(link) for line in page]
    return row


def _lookup_path(key: LookupKey, tables: Mapping[str, Table], values: Sequence[str], by: str = "") -> str:
    table = tables[key.table]
    steps: dict[str, list[str]] = {}
    for path in (*key.paths, *key.reads):
        head, dot, column = path.partition(".")
        if dot and column not in steps.setdefault(head, []):
            steps[head].append(column)
    expand = ",".join(
        f"{table.navigation(*parent_table(head, table))}($select={','.join(columns)})"
        for head, columns in steps.items()
    )
    select = [
        table.id_column,
        *(path for path in (*key.paths, *key.reads) if "." not in path),
        *(f"_{path.partition('.')[0]}_value" for path in key.reads if "." in path),
        *(["_ownerid_value"] if "ownerid" in table.attributes else []),
    ]
    return rows_where_in(table.entity_set, by or key.own_column, values, list(dict.fromkeys(select)), expand or None)
