"""Everything one command works with, opened when first asked for and closed at the end."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Literal

from loader.contract import Contract, Model, read_contract
from loader.dataverse.client import Client
from loader.dataverse.metadata import Table, read_tables
from loader.dataverse.organization import Organization, read_organization
from loader.errors import GuardTripped, NotFound, UsageError
from loader.profile import Target, read_target
from loader.settings import Settings, read_settings
from loader.sync import staged
from loader.sync.binding import Bindings, bind, tables_needed
from loader.sync.gather import lookup_columns, read_lookups
from loader.sync.lookups import LookupKey, match_key
from loader.sync.push import Session
from loader.sync.records import Staged
from loader.warehouse.connection import Warehouse, connect, quoted
from loader.warehouse.journal import Journal
from loader.warehouse.staging import fold, folded, read_rows


@dataclass
class Run:
    """One invocation of the loader: project, target, flags; warehouse and CRM behind them."""

    project_dir: Path
    profiles_dir: Path | None = None
    target_name: str | None = None
    flags: Mapping[str, object] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    stop: threading.Event = field(default_factory=threading.Event)
    access: Literal["read", "write", "push"] = "read"
    """What the command does with the warehouse. A push wants it for itself."""

    def __post_init__(self) -> None:
        self._open = ExitStack()

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    @cached_property
    def target(self) -> Target:
        if not (self.project_dir / "dbt_project.yml").exists():
            raise UsageError(
                f"{self.project_dir} is not a dbt project.",
                "Change to the project's directory, or name it with --project-dir.",
            )
        return read_target(self.project_dir, self.profiles_dir, self.target_name, self.environ)

    @cached_property
    def settings(self) -> Settings:
        return read_settings(self.project_dir, self.environ, self.flags)

    @cached_property
    def contract(self) -> Contract:
        target_path = self.environ.get("DBT_TARGET_PATH", "target")
        return read_contract(self.project_dir / target_path / "manifest.json", self.target.type)

    @cached_property
    def warehouse(self) -> Warehouse:
        warehouse = connect(self.target, read_only=self.access == "read", for_run=self.access == "push")
        self._open.callback(warehouse.close)
        return warehouse

    @cached_property
    def journal(self) -> Journal:
        return Journal(self.warehouse, self.contract.journal)

    @cached_property
    def client(self) -> Client:
        from loader.dataverse.connect import connect_crm

        return connect_crm(self.settings, self.stop)

    @cached_property
    def organization(self) -> Organization:
        return read_organization(self.client)

    @cached_property
    def tables(self) -> Mapping[str, Table]:
        return read_tables(self.client, tables_needed(self.contract.models))

    def bindings(self, model: Model) -> Bindings:
        return bind(model, self.tables, self.organization)

    def keys(self, model: Model, only: Sequence[str] = ()) -> list[str]:
        """Keys of the staged orders as they are sorted; of those named in `only`, where it is given.

        Raises NotFound for a name that is not staged, GuardTripped for rows without a key.
        """
        key = quoted(model.key_column)
        rows = self.warehouse.query(f"select {key} from {model.relation} order by {folded(key)}")
        nameless = sum(row[0] is None for row in rows)
        if nameless:
            raise GuardTripped(
                f"{nameless} rows of {model.name} have no {model.key_column}. Nothing was written.",
                "`dbt test --select crm` shows them; correct them in GP.",
            )
        keys = [str(row[0]).rstrip(" ") for row in rows]
        if not only:
            return keys
        wanted = {match_key(name): name for name in only}
        chosen = [key for key in keys if match_key(key) in wanted]
        unknown = wanted.keys() - {match_key(key) for key in chosen}
        if unknown:
            names = ", ".join(sorted(wanted[key] for key in unknown))
            raise NotFound(
                f"{model.name} has no order {names}.",
                "Only open orders are staged; `select * from audit_order_status` says why one is not.",
            )
        return chosen

    def column_names(self, relation: str) -> list[str]:
        """Columns of a table or view, in order; none where dbt has not built it yet."""
        parts = [part.strip('"[]') for part in relation.split(".")]
        rows = self.warehouse.query(
            "select column_name from information_schema.columns where table_schema = ? and table_name = ?"
            " order by ordinal_position",
            parts[-2:],
        )
        return [str(row[0]) for row in rows]

    def staged(self, model: Model, only: Sequence[str] | None, known: Mapping[str, int]) -> Iterator[Staged]:
        """Staged orders with their lines, sorted by key; those named in `only`, or all. `known`: `places` of them."""
        headers = read_rows(
            self.warehouse, model, (model.key_column, only) if only is not None else None, order_by=[model.key_column]
        )
        if model.children is None or model.meta.children is None:
            return staged.orders(model, headers, (), known)
        via = model.meta.children.via
        lines = read_rows(
            self.warehouse,
            model.children,
            (via, only) if only is not None else None,
            order_by=[via, *model.meta.children.match_on],
        )
        return staged.orders(model, headers, lines, known)

    def session(self, model: Model, keys: Sequence[str], only: Sequence[str] | None = None) -> Session:
        """Reads metadata, look-ups and the journal's memory: what planning needs. Raises ContractMismatch."""
        bindings = self.bindings(model)
        bindings.refuse_problems()
        counted = Counter(match_key(key) for key in keys)
        return Session(
            client=self.client,
            bindings=bindings,
            index=read_lookups(self.client, self.tables, self.lookup_values(model, only)),
            shared={
                entry.crm_id.lower(): entry.shared_with
                for entry in self.journal.xref(model.table).values()
                if entry.shared_with
            },
            withheld={match_key(key): state for key, state in self.journal.held_or_ignored(model.table).items()},
            repeated=frozenset(key for key, count in counted.items() if count > 1),
        )

    def lookup_values(self, model: Model, only: Sequence[str] | None = None) -> dict[LookupKey, set[str]]:
        """The distinct staged values of each look-up."""
        values: dict[LookupKey, set[str]] = {}
        for key, places in lookup_columns(model).items():
            found = values.setdefault(key, set())
            for each, column in places:
                is_line = model.meta.children is not None and each is not model
                key_column = model.meta.children.via if is_line and model.meta.children else model.key_column
                found |= set(self._distinct(each, column, key_column, only))
        return values

    def _distinct(self, model: Model, column: str, key_column: str, only: Sequence[str] | None) -> Iterator[str]:
        sql = f"select distinct {quoted(column)} from {model.relation} where {quoted(column)} is not null"
        conditions: Iterator[tuple[str, list[object]]] = iter([("", [])])
        if only is not None:
            conditions = (
                (f" and {condition}", params)
                for condition, params in self.warehouse.matching(
                    folded(quoted(key_column)), sorted(set(map(fold, only)))
                )
            )
        for condition, params in conditions:
            for row in self.warehouse.query(sql + condition, params):
                yield str(row[0])


def places(keys: Iterable[str]) -> dict[str, int]:
    """Match key → place among the staged orders."""
    return {match_key(key): place for place, key in enumerate(keys)}
