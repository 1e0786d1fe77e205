"""What the next run needs to compare only what moved: links to CRM's changes, fingerprints, and looked-up rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from loader.warehouse.journal.lock import Lock
from loader.warehouse.journal.tables import Tables, of_table

LookedUp = tuple[str, str, str]
"""Column, id of the row in CRM, value in the form in which keys are compared."""


@dataclass(frozen=True)
class Link:
    """Where CRM tells what moved in a table, and the columns that it tells of a row."""

    url: str
    columns: str


@dataclass(frozen=True)
class State:
    """What a run that settled everything left behind."""

    links: Mapping[str, Link] = field(default_factory=dict)
    """By CRM's table."""
    models: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By model: what must be as it was, by its name."""


class States:
    """The rows of sync_state and sync_lookup."""

    def __init__(self, tables: Tables, lock: Lock) -> None:
        self._tables = tables
        self._lock = lock

    def read(self) -> State:
        """What the last run that settled everything left; nothing if none did."""
        found: dict[tuple[str, str], dict[str, str]] = {}
        for kind, name, part, content in self._tables.query(
            "sync_state", "select kind, name, part, content from {sync_state}"
        ):
            found.setdefault((str(kind), str(name)), {})[str(part)] = str(content or "")
        return State(
            {name: Link(its["url"], its["columns"]) for (kind, name), its in found.items() if kind == "link"},
            {name: its for (kind, name), its in found.items() if kind == "model"},
        )

    def put(self, state: State, looked_up: Mapping[str, Iterable[LookedUp]] | None, run_id: str) -> None:
        """Replaces what was known, and by table the looked-up rows where they are given.

        A run that has lost its lock replaces nothing: the other run knows better.
        """
        rows = [("link", name, part, text) for name, link in state.links.items() for part, text in vars(link).items()]
        rows += [("model", name, part, text) for name, its in state.models.items() for part, text in its.items()]

        def write() -> None:
            if not self._lock.is_held_by(run_id):
                return
            self._tables.execute("delete from {sync_state}")
            self._tables.insert(
                "sync_state",
                *(
                    {"kind": kind, "name": name, "part": part, "content": content, "run_id": run_id}
                    for kind, name, part, content in rows
                ),
            )
            if looked_up is not None:
                self._tables.execute("delete from {sync_lookup}")
                self._insert(looked_up)

        self._tables.atomically("sync_state", write)

    def looked_up(self, table: str) -> set[LookedUp]:
        """By which values the rows of a table were found."""
        rows = self._tables.query(
            "sync_lookup", f"select crm_column, crm_id, match_value from {{sync_lookup}} where {of_table(table)}"
        )
        return {(str(column), str(id_), str(value)) for column, id_, value in rows}

    def add_looked_up(self, rows: Mapping[str, Collection[LookedUp]]) -> None:
        """Adds some by table; what was known stays, because records may still have the former value."""
        self._tables.atomically("sync_lookup", lambda: self._insert(rows))

    def _insert(self, rows: Mapping[str, Iterable[LookedUp]]) -> None:
        self._tables.insert(
            "sync_lookup",
            *(
                {"crm_table": table, "crm_column": column, "crm_id": id_, "match_value": value}
                for table, its in rows.items()
                for column, id_, value in sorted(its)
            ),
        )
