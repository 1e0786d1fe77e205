"""Creates missing tables as dbt declares them, adds new columns, and makes SQL Server's indexes."""

from __future__ import annotations

from loader.errors import UsageError
from loader.keys import fold
from loader.warehouse.connection import quoted
from loader.warehouse.journal.events import Events
from loader.warehouse.journal.tables import Table, Tables

SCHEMA_VERSION = 3
INDEXES = {
    "sync_run": "run_id",
    "sync_event": "match_key, crm_table, happened_at, event_no",
    "retry_queue": "match_key, crm_table",
    "crm_xref": "match_key, crm_table",
    "sync_lookup": "crm_table, crm_id",
    "sync_noted": "match_key, crm_table",
}
"""Journal table → the columns of its index `ix_<table>` on SQL Server."""


class Schema:
    """The tables as they are, and as dbt declares them."""

    def __init__(self, tables: Tables, events: Events) -> None:
        self._tables = tables
        self._events = events

    def prepare(self) -> None:
        """Creates missing tables and adds missing columns; refuses a journal that a newer loader has written."""

        def migrate() -> None:
            self._tables.forget()  # another process may have been faster
            for table in self._tables.known.values():
                present = self._tables.columns(table)
                if not present:
                    self._create(table)
                for name, data_type in table.columns if present else ():
                    if name.lower() not in present:
                        self._tables.warehouse.execute(f"alter table {table.relation} add {quoted(name)} {data_type}")
                if any(name == "match_key" for name, _ in table.columns):
                    self._fill_match_keys(table)
            self._create_indexes()

        if any(self._is_stale(table) for table in self._tables.known.values()):
            self._tables.atomically("journal schema", migrate)
        elif self.missing_indexes():  # tables that dbt created
            self._tables.atomically("journal schema", self._create_indexes)
        self._tables.forget()
        version = self._tables.query("sync_run", "select max(schema_version) from {sync_run}")
        if version and version[0][0] is not None and int(str(version[0][0])) > SCHEMA_VERSION:
            raise UsageError(
                f"The journal has version {version[0][0]}; this loader knows {SCHEMA_VERSION}.",
                "Use the newer loader that wrote it.",
            )
        self._events.bring_up_to(SCHEMA_VERSION)

    def _is_stale(self, table: Table) -> bool:
        present = self._tables.columns(table)
        return any(name.lower() not in present for name, _ in table.columns)

    def _fill_match_keys(self, table: Table) -> None:
        """Fills in folded keys where an older loader wrote none, or used another rule for İ."""
        rows = self._tables.warehouse.query(
            f"select distinct record_key from {table.relation} where match_key is null or record_key like ?", ["%İ%"]
        )
        self._tables.warehouse.executemany(
            f"update {table.relation} set match_key = ? where record_key = ?",
            [(fold(str(key)), key) for (key,) in rows if key is not None],
        )

    def missing_indexes(self) -> list[str]:
        """Statements that create the indexes that SQL Server needs. DuckDB does without."""
        if self._tables.warehouse.dialect == "duckdb":
            return []
        missing = []
        for name, columns in INDEXES.items():
            relation = self._tables.known[name].relation
            found = self._tables.warehouse.query(
                "select 1 from sys.index_columns as i"
                " inner join sys.columns as c on c.object_id = i.object_id and c.column_id = i.column_id"
                " where i.object_id = object_id(?) and i.key_ordinal = 1 and c.name = ?",
                [relation, columns.split(",")[0]],
            )
            if not found:
                missing.append(f"create index {quoted(f'ix_{name}')} on {relation} ({columns})")
        return missing

    def _create_indexes(self) -> None:
        for statement in self.missing_indexes():
            self._tables.warehouse.execute(statement)

    def _create(self, table: Table) -> None:
        database, schema, _ = table.parts
        if self._tables.warehouse.dialect == "duckdb":
            path = ".".join(quoted(part) for part in (database, schema) if part)
            self._tables.warehouse.execute(f"create schema if not exists {path}")
        elif self._tables.warehouse.query("select schema_id(?)", [schema])[0][0] is None:
            self._tables.warehouse.execute(f"create schema {quoted(schema)}")
        columns = ", ".join(f"{quoted(name)} {data_type}" for name, data_type in table.columns)
        self._tables.warehouse.execute(f"create table {table.relation} ({columns})")
