"""The words by which people know values that CRM holds as ids and numbers: keys of looked-up rows, labels of options.

Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TypeAlias

from loader.sync.binding import Binding, Field
from loader.sync.canonical import Value
from loader.sync.diff import Change
from loader.sync.lookups import Index, LookupKey

Word: TypeAlias = "Callable[[Value], str | None]"
"""What people know a column's value by; None where nobody knows, or the value is null."""

Words: TypeAlias = "Mapping[str, Mapping[str, Word]]"
"""Table → column → its word. Columns whose values speak for themselves are absent."""


class Naming:
    """The words of one model's columns. `index` has what the staged values found; CRM's old values may not be there."""

    def __init__(self, binding: Binding, index: Index) -> None:
        self.others = Index()
        """Rows that nothing staged names, but that CRM's records point to."""
        self._index = index
        self._asked: set[tuple[LookupKey, str]] = set()
        self._fields: dict[tuple[str, str], Field] = {}
        words: dict[str, dict[str, Word]] = {}
        for each in (binding, binding.lines):
            for field in (*each.fields, *each.state_fields) if each else ():
                word = self._word(field)
                if each and word:
                    words.setdefault(each.table.name, {})[field.name] = word
                    self._fields[each.table.name, field.name] = field
        self.words: Words = words

    def unknown(self, changes: Iterable[tuple[str, Iterable[Change]]]) -> dict[LookupKey, set[str]]:
        """The ids of CRM's values before these changes, by table, that no row is known of. Each is named only once."""
        found: dict[LookupKey, set[str]] = {}
        for table, some in changes:
            for column, before, _ in some:
                field = self._fields.get((table, column))
                if before is None or field is None or field.lookup_key is None or self.words[table][column](before):
                    continue
                asked = (field.lookup_key, str(before))
                if asked not in self._asked:
                    self._asked.add(asked)
                    found.setdefault(field.lookup_key, set()).add(str(before))
        return found

    def _word(self, field: Field) -> Word | None:
        if field.lookup_key:
            return partial(self._key, field.lookup_key)
        return partial(_label, field.attribute.options) if field.attribute.options else None

    def _key(self, key: LookupKey, value: Value) -> str | None:
        if value is None:
            return None
        id_ = str(value)
        return " / ".join(self._index.texts(key, id_) or self.others.texts(key, id_)) or None


def _label(options: Mapping[int, str], value: Value) -> str | None:
    return options.get(value) or None if isinstance(value, int) else None
