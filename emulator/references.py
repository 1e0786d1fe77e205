"""Which record an address means: ids, alternate keys, URLs, Content-IDs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from .coercion import Coercion
from .errors import CrmError, bad_request, not_found
from .metadata import Column, Table
from .reader import Reader
from .store import Ref, Value, fold
from .values import GUID

KEY_PART = re.compile(r"\s*(\w+)\s*=\s*('(?:[^']|'')*'|[^,]*?)\s*(?:,|$)")
FORBIDDEN_IN_KEYS = re.compile(r"[/<>*%&:\\?+]")


def split_resource(text: str) -> tuple[str, str | None]:
    """`accounts(…)` → accounts, the text in the parentheses."""
    name, found, key = text.partition("(")
    if not found:
        return text, None
    if not key.endswith(")"):
        raise bad_request(f"Syntax error in the path segment '{text}'.")
    return name, key[:-1]


@lru_cache(maxsize=65536)
def _address(text: str) -> tuple[str, str]:
    """`/accounts(…)`, with or without the service's root → the set and what is in the parentheses."""
    path = re.sub(r"^https?://[^/]+", "", text.strip())
    path = re.sub(r"^/?api/data/v[\d.]+/", "", path).strip("/")
    name, key = split_resource(path)
    if key is None:
        raise bad_request(f"The URI '{text}' does not name a record.", "0x80060888")
    return name, key


class References:
    """Finds records by what an address says."""

    def __init__(self, reader: Reader, coercion: Coercion) -> None:
        self.reader = reader
        self.store = reader.store
        self.coercion = coercion

    def resolve(self, table: Table, key: str, *, in_url: bool = True) -> tuple[str | None, dict[str, Value]]:
        """The id for a key in parentheses (None: no such row), and the values that an upsert would set."""
        text = key.strip()
        if GUID.fullmatch(text):
            return text.lower(), {}
        parts: dict[str, str] = {}
        position = 0
        while position < len(text):
            match = KEY_PART.match(text, position)
            if not match or match.end() == position:
                raise bad_request(f"Bad Request - Error in query syntax: '({key})'.")
            parts[match.group(1)] = match.group(2)
            position = match.end()
        if len(parts) == 1:
            ((name, value),) = parts.items()
            own = "ownerid" if table.name in ("systemuser", "team") else table.id_column
            if name == own and GUID.fullmatch(value):
                return value.lower(), {}
        columns = {}
        for name, quoted in parts.items():
            column = table.by_api_name.get(name)
            if column is None:
                raise self._undeclared_key(table)
            columns[column.name] = self._key_value(table, column, quoted, in_url)
        if not any(set(declared.columns) == columns.keys() for declared in table.keys):
            raise self._undeclared_key(table)
        return self.find_by_key(table, columns), columns

    def _undeclared_key(self, table: Table) -> CrmError:
        return CrmError(
            400,
            "0x80060890",
            f"The key in the request URI is not valid for resource '{table.full_name}'. Ensure that the names and "
            f"number of key properties match the declared or alternate key properties for the resource "
            f"'{table.full_name}'.",
        )

    def _key_value(self, table: Table, column: Column, quoted: str, in_url: bool) -> Value:
        if quoted.startswith("'"):
            value: object = quoted[1:-1].replace("''", "'")
            if in_url and FORBIDDEN_IN_KEYS.search(str(value)):
                raise bad_request(
                    "A potentially dangerous Request.Path value was detected from the client: the key value "
                    f"'{value}' holds a character that cannot be used."
                )
        elif GUID.fullmatch(quoted) or column.type == "DateTime":
            value = quoted
        elif re.fullmatch(r"-?\d+", quoted):
            value = int(quoted)
        else:
            raise bad_request(f"Bad Request - Error in query syntax: '{quoted}'.")
        stored = self.coercion.coercer(column)(value, self.coercion.scales({}))
        if column.is_lookup and isinstance(stored, str):
            return Ref(column.targets[0], stored)
        return stored

    def find_by_key(self, table: Table, columns: Mapping[str, Value]) -> str | None:
        data = self.store.tables[table.name]
        first, *rest = columns
        for row_id in data.find(first, columns[first]):
            row = data.rows[row_id]
            if all(row.get(column) is not None and fold(row[column]) == fold(columns[column]) for column in rest):
                return row_id
        return None

    def existing(self, table: Table, key: str, *, in_url: bool = True) -> str:
        """The id of the row with this key. Refuses a key without a row."""
        row_id, _ = self.resolve(table, key, in_url=in_url)
        if row_id is None:
            raise no_record_by_key(table)
        if self.store.get(table.name, row_id) is None:
            raise not_found(table.name, row_id)
        return row_id

    def find(self, text: str, refs: Mapping[str, Ref]) -> Ref:
        """`/accounts(id)`, a whole URL, an alternate key or `$1` → the row meant; it must exist."""
        if text.startswith("$"):
            return content_reference(text.strip(), refs)
        name, key = _address(text)
        table = self.reader.table_of_set(name)
        if key in self.store.tables[table.name].rows:
            return Ref(table.name, key)
        return Ref(table.name, self.existing(table, key, in_url=False))


def no_record_by_key(table: Table) -> CrmError:
    return CrmError(404, "0x80060891", f"A record with the specified key values does not exist in {table.name} entity")


def content_reference(text: str, refs: Mapping[str, Ref]) -> Ref:
    ref = refs.get(text[1:].split("/")[0])
    if ref is None:
        raise CrmError(
            400, "0x80060888", f"Content-ID Reference: '{text.split('/')[0]}' does not exist in the batch context."
        )
    return ref
