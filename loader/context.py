"""What one command works with, opened when first asked for and closed at the end. What is done with it is in push/."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol

from loader.contract import Contract, Model, read_contract
from loader.dataverse.client import Client
from loader.dataverse.describe import read_flags, read_organization, read_tables
from loader.dataverse.metadata import Table
from loader.dataverse.organization import Organization
from loader.dataverse.pace import Stop
from loader.dbt_commands import shown_by
from loader.errors import GuardTripped, NotFound, UsageError
from loader.files import private_files
from loader.keys import folded, match_key
from loader.profile import Target, read_target
from loader.settings import Settings, read_settings
from loader.sync.binding import Bindings, bind, tables_needed
from loader.sync.lookups import LookupKey, lookup_columns
from loader.sync.records import Staged
from loader.warehouse.connect import connect
from loader.warehouse.connection import Warehouse
from loader.warehouse.journal import Journal
from loader.warehouse.staged import Moved, StagedRows, key_expression

Progress = Callable[[int, int], None]
"""Told how many records are done, of how many."""


class Doing(Protocol):
    """Told what a command is doing, and how much of it is done where that is known."""

    def __call__(self, text: str, done: int = 0, total: int = 0) -> None: ...


def _in_silence(text: str, done: int = 0, total: int = 0) -> None:
    pass


def _open_warehouse(target: Target, read_only: bool, for_run: bool) -> Warehouse:
    return connect(target, read_only=read_only, for_run=for_run)


def _open_journal(warehouse: Warehouse, contract: Contract) -> Journal:
    line_tables = {model.table: model.children.table for model in contract.models if model.children}
    return Journal(warehouse, contract.journal, line_tables=line_tables)


def _connect_crm(settings: Settings, stop: threading.Event) -> Client:
    from loader.dataverse.connect import connect_crm

    return connect_crm(settings, stop)


@dataclass(frozen=True)
class Sources:
    """How a run comes by its parts. Who has one already, or wants it made in another way, passes that."""

    target: Callable[[Path, Path | None, str | None, Mapping[str, str]], Target] = read_target
    contract: Callable[[Path, str], Contract] = read_contract
    settings: Callable[[Path, Mapping[str, str], Mapping[str, object]], Settings] = read_settings
    warehouse: Callable[[Target, bool, bool], Warehouse] = _open_warehouse
    journal: Callable[[Warehouse, Contract], Journal] = _open_journal
    client: Callable[[Settings, threading.Event], Client] = _connect_crm
    organization: Callable[[Client], Organization] = read_organization
    tables: Callable[[Client, Iterable[str]], Mapping[str, Table]] = read_tables
    stop: Callable[[], threading.Event] = Stop
    """The event that ends a run early; every wait of the run is a wait for it."""
    webhook_timeout: float = 5.0
    """For how many seconds a webhook may keep a run waiting."""


@dataclass
class Context:
    """One invocation of the loader: project, target, flags; warehouse and CRM behind them."""

    project_dir: Path
    profiles_dir: Path | None = None
    target_name: str | None = None
    flags: Mapping[str, object] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    sources: Sources = field(default_factory=Sources)
    talk: Callable[[str], None] = lambda text: None
    """Says something on the side."""
    access: Literal["read", "write", "push"] = "read"
    """What the command does with the warehouse. A push wants it for itself."""
    doing: Doing = _in_silence
    """Says what is going on to somebody who waits for it."""

    def __post_init__(self) -> None:
        self.stop = self.sources.stop()
        self._open = ExitStack()
        self._client: Client | None = None
        self._organization: Organization | None = None

    def __enter__(self) -> Context:
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
        return self.sources.target(self.project_dir, self.profiles_dir, self.target_name, self.environ)

    @cached_property
    def settings(self) -> Settings:
        settings = self.sources.settings(self.project_dir, self.environ, self.flags)
        for doubt in settings.doubts:
            self.talk(f"Warning: {doubt}")
        return settings

    @cached_property
    def contract(self) -> Contract:
        target_path = self.environ.get("DBT_TARGET_PATH", "target")
        return self.sources.contract(self.project_dir / target_path / "manifest.json", self.target.type)

    @cached_property
    def warehouse(self) -> Warehouse:
        if self.target.type == "duckdb":
            self._open.enter_context(private_files())
        self.doing("Opening the warehouse")
        warehouse = self.sources.warehouse(self.target, self.access == "read", self.access == "push")
        self._open.callback(warehouse.close)
        return warehouse

    @cached_property
    def journal(self) -> Journal:
        return self.sources.journal(self.warehouse, self.contract)

    @property
    def client(self) -> Client:
        if self._client is None:
            self._client = self.sources.client(self.settings, self.stop)
        return self._client

    @property
    def organization(self) -> Organization:
        if self._organization is None:
            self.doing("Signing in to CRM")
            self._organization = self.sources.organization(self.client)
        return self._organization

    @cached_property
    def birth_settings(self) -> Mapping[str, bool]:
        """The organisation's settings that decide in which state CRM makes a record, by column."""
        states = [model.meta.state for model in self.contract.models]
        names = sorted({state.born.setting for state in states if state and state.born and state.born.setting})
        return read_flags(self.client, names) if names else {}

    def forget_organization(self) -> None:
        """For a command that changed its settings: the next look at them reads them again."""
        self._organization = None

    @property
    def requests(self) -> dict[str, int]:
        """How many requests went to CRM so far, "read" and "write". Asking does not open the connection."""
        if self._client is None:
            return {"read": 0, "write": 0}
        return {"read": self._client.reads, "write": self._client.writes}

    @cached_property
    def tables(self) -> Mapping[str, Table]:
        self.doing("Reading CRM's metadata")
        return self.sources.tables(self.client, tables_needed(self.contract.models))

    def bindings(self, model: Model) -> Bindings:
        return bind(model, self.tables, replace(self.organization, settings=self.birth_settings))

    def refuse_other_crm(self) -> None:
        """Raises GuardTripped where the journal belongs to another CRM organisation than the one at CRM_URL."""
        self.journal.refuse_other_crm(self.organization.id, self.settings.crm_url)

    def keys(self, model: Model) -> list[str]:
        """Keys of the staged records. A command that needs their rows, too, takes both from `stage`."""
        key = key_expression(model.meta.match_on, self.warehouse.dialect)
        rows = self.warehouse.query(
            f"select {key} from {model.relation} order by {folded(key, self.warehouse.dialect)}"
        )
        return self._named(model, [None if row[0] is None else str(row[0]).rstrip(" ") for row in rows])

    def stage(self, model: Model, only: Sequence[str] | None = None) -> StagedRecords:
        """The staged records as they are now, or those named. Raises GuardTripped for rows without a key."""
        self.doing(f"Reading {model.nouns} from the warehouse")
        children = model.meta.children
        rows = StagedRows(
            self.warehouse,
            model,
            model.meta.match_on,
            lines=model.children,
            via=children.via if children else "",
            lines_by=children.match_on if children else (),
            only=only,
            sought_by=model.meta.sought_by,
            prefixes=model.meta.key_prefixes,
        )
        self._open.callback(rows.close)
        return StagedRecords(model, rows, self._named(model, rows.keys()), with_digests=self.access == "push")

    def _named(self, model: Model, keys: Sequence[str | None]) -> list[str]:
        nameless = sum(key is None for key in keys)
        if nameless:
            rows = f"1 row of {model.name} has" if nameless == 1 else f"{nameless} rows of {model.name} have"
            shows = shown_by(self.target, self.project_dir, f"not_null_{model.name}_{model.key_column}")
            raise GuardTripped(
                f"{rows} no {model.key_column}. Nothing was written.", f"`{shows}` shows them; correct them in GP."
            )
        return [key for key in keys if key is not None]


@dataclass(frozen=True)
class StagedRecords:
    """What dbt staged for one model, read once: whatever a command asks of it, the views are not asked again."""

    model: Model
    rows: StagedRows
    keys: list[str]
    """Sorted; a key that is staged twice is there twice."""
    due: list[str] | None = None
    """The keys of the records that are compared, if these are not all; the others are as they should be in CRM."""
    with_digests: bool = False
    """Whether `records` gives each one's digest. Only a push enters it, as what the record was compared with."""

    @property
    def compared(self) -> list[str]:
        """The keys of the records that are compared."""
        return self.keys if self.due is None else self.due

    def narrowed(self, known: str, waiting: str, moved: Moved) -> StagedRecords:
        """The same, of which only those are compared that are due (`StagedRows.narrow`)."""
        return replace(self, due=self.rows.narrow(known, waiting, moved))

    def untouched(self) -> list[Untouched]:
        """The records that are not compared, counted by how they ended when they were."""
        rest = len(self.keys) - len(self.compared)
        noted = [
            Untouched(outcome, reason, tuple(filter(None, codes.split(","))), count)
            for outcome, reason, codes, count in (self.rows.noted() if rest else ())
        ]
        return [*noted, Untouched("unchanged", "", (), rest - sum(each.count for each in noted))]

    def absent(self) -> Iterator[tuple[Staged, str, str]]:
        """The records that are not compared and that CRM does not get, with reason and message."""
        for record, lines, reason, message in self.rows.absent() if self.due is not None else ():
            yield Staged(self.model.key_of(record), record, lines), reason, message

    def records(self) -> Iterator[Staged]:
        """The records with their lines, sorted by key."""
        if not self.compared:
            return
        if self.with_digests:
            for record, lines, digest in self.rows.digested():
                yield Staged(self.model.key_of(record), record, lines, digest)
        else:
            for record, lines in self.rows.records():
                yield Staged(self.model.key_of(record), record, lines)

    def lookup_values(self) -> dict[LookupKey, set[str]]:
        """The distinct staged values of each look-up."""
        return {
            key: {str(row[0]) for model, column in places for row in self.rows.distinct(model, [column], column)}
            for key, places in lookup_columns(self.model).items()
        }


@dataclass(frozen=True)
class Untouched:
    """So many records that are as they were when they were last compared."""

    outcome: str
    reason: str
    warnings: tuple[str, ...]
    count: int


def require(staged: Sequence[StagedRecords], only: Sequence[str]) -> None:
    """Raises NotFound where one of these records is not staged by any of the models."""
    present = {match_key(key) for each in staged for key in each.keys}
    unknown = sorted({name for name in only if match_key(name) not in present})
    if unknown:
        models = ", ".join(each.model.name for each in staged)
        nouns = " or ".join(dict.fromkeys(each.model.noun for each in staged))
        raise NotFound(
            f"{models} has no {nouns} {', '.join(unknown)}.",
            "Only what is in scope is staged; the table's audit model (audit_order_status) says why one is not.",
        )
