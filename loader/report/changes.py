"""Changes as people read them, from plans, plan files and the journal: ids and options by the words people know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias

from loader.contract import Contract, Model
from loader.sync.diff import by_row
from loader.visible import styled

Entry: TypeAlias = "Mapping[str, Any]"
"""A change as `RecordPlan.changes_json` makes it."""

SIGNS = {"create": ("+", "green"), "update": ("~", "yellow"), "delete": ("-", "red"), "block": ("!", "red")}


@dataclass(frozen=True)
class Telling:
    """How much people are told, in the words of the contract. Without one, keys stand alone and lines are in full."""

    contract: Contract | None = None
    verbose: bool = False
    """Ids beside what they are known by, numbers with all their decimals, new lines column by column."""

    def named(self, table: str, key: str) -> str:
        return self.contract.named(table, key) if self.contract else f"{table} {key}"

    def lines(self, table: str, changes: Iterable[Entry]) -> Iterator[str]:
        """The changes of one record of a table: one line of text per column, one per row of its lines."""
        for row in by_row(changes):
            action = row[0]["action"]
            if row[0]["table"] == table:
                yield from (f"    {self._field(change, action)}" for change in row)
                continue
            sign, colour = SIGNS[action]
            about = self._in_short(row, action) if action in ("create", "delete") and not self.verbose else ""
            if not about and action != "delete":
                about = ", ".join(self._field(change, action) for change in row)
            name = styled(f"    {sign} line {_key(row[0]['line'])}", colour)
            yield f"{name}: {about}" if about else name

    def change(self, change: Entry) -> str:
        """One column: its value before, and after."""
        before, after = (self._value(change, side) for side in ("before", "after"))
        if before == after:
            before, after = (Telling(verbose=True)._value(change, side) for side in ("before", "after"))
        return f"{change['column']}: {before} → {after}"

    def _field(self, change: Entry, action: str) -> str:
        if action == "create":
            return f"{change['column']}: {self._value(change, 'after')}"
        return self.change(change)

    def _value(self, change: Entry, side: str) -> str:
        value, word = change[side], change.get(f"{side}_shown")
        if word is not None:
            return f"{word} ({value})" if self.verbose else str(word)
        if isinstance(value, Decimal) and not self.verbose:
            return number(value)
        return "none" if value is None else repr(value) if isinstance(value, str) else str(value)

    def _in_short(self, row: Sequence[Entry], action: str) -> str:
        """A new or deleted line as the contract says that people know it; blank if it does not say so."""
        side = "after" if action == "create" else "before"
        children = next(
            (each.meta.children for each in self._models if each.children and each.children.table == row[0]["table"]),
            None,
        )
        if children is None:
            return ""
        values = {change["column"]: _bare(change, side) for change in row}
        name = next((values[column] for column in children.named_by if column in values), "")
        if not children.shown_as:
            return name
        return children.shown_as.format_map({**dict.fromkeys(children.shown_columns, "?"), **values, "named_by": name})

    @property
    def _models(self) -> Sequence[Model]:
        return self.contract.models if self.contract else ()


def number(value: Decimal) -> str:
    """Without zeros at the end, but for two decimals: `4`, `4.50`, `59.95`, `0.0833`. Cents stay as they are."""
    text = f"{value:f}"
    whole, _, decimals = text.partition(".")
    if len(decimals) <= 2:
        return text
    decimals = decimals.rstrip("0")
    return f"{whole}.{decimals:0<2}" if decimals else whole


def _bare(change: Entry, side: str) -> str:
    """A value within a sentence."""
    value, word = change[side], change.get(f"{side}_shown")
    return str(word) if word is not None else number(value) if isinstance(value, Decimal) else str(value)


def _key(line: object) -> str:
    if line is None:
        return "without a number"
    return ", ".join(map(str, line)) if isinstance(line, list) else str(line)
