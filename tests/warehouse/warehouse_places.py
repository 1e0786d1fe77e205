"""Warehouses to test on, the journal's tables as dbt declares them, and a clock that stands."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from loader.profile import Target
from loader.secrets import Secret
from loader.warehouse.connection import Warehouse

NOW = dt.datetime(2026, 3, 1, 7, 0)


@dataclass(frozen=True)
class Table:
    relation: str
    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Column:
    name: str
    data_type: str


@dataclass(frozen=True)
class Model:
    relation: str
    columns: tuple[Column, ...]


class StoppedClock:
    def __init__(self, now: dt.datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> dt.datetime:
        return self.now

    def forward(self, **by: float) -> dt.datetime:
        self.now += dt.timedelta(**by)
        return self.now


_JOURNAL = {
    "sync_run": "run_id varchar(36), run_no int, command varchar(20), crm_url varchar(300),"
    " crm_organization_id varchar(36), started_at instant,"
    " finished_at instant, outcome varchar(20), staged int, created int, updated int, unchanged int,"
    " skipped int, blocked int, failed int,"
    " lines_created int, lines_updated int, lines_deleted int, requests_read int, requests_write int, message long,"
    " host varchar(128), pid int, version varchar(20), schema_version int",
    "sync_event": "run_id varchar(36), event_no int, happened_at instant, crm_table varchar(128),"
    " record_key varchar(300), crm_id varchar(36), action varchar(20), outcome varchar(20),"
    " reason varchar(60), message long, changes long,"
    " warnings long, request_id varchar(60)",
    "retry_queue": "crm_table varchar(128), record_key varchar(300), reason varchar(60), message long, missing long,"
    " first_failed_at instant, last_failed_at instant, attempts int, state varchar(10), resolution varchar(20),"
    " run_id varchar(36)",
    "crm_xref": "crm_table varchar(128), record_key varchar(300), crm_id varchar(36), first_pushed_at instant,"
    " last_pushed_at instant, shared_with varchar(50), run_id varchar(36)",
    "sync_lock": "lock_name varchar(50), run_id varchar(36), host varchar(128), pid int, acquired_at instant,"
    " expires_at instant",
}
_TYPES = {
    "duckdb": {"instant": "timestamp", "long": "varchar"},
    "sqlserver": {"instant": "datetime2(3)", "long": "nvarchar(max)"},
}


def journal_tables(dialect: str, database: str, schema: str) -> dict[str, Table]:
    types = _TYPES[dialect]
    return {
        name: Table(
            f'"{database}"."{schema}"."{name}"',
            tuple(
                (column, types.get(kind, kind)) for column, kind in (part.split(None, 1) for part in text.split(", "))
            ),
        )
        for name, text in _JOURNAL.items()
    }


def sqlserver_target() -> Target:
    environ = os.environ
    return Target(
        type="sqlserver",
        name="sqlserver",
        profile="gp_to_crm",
        schema="dbo",
        database=environ.get("GP_CRM_SQLSERVER_DATABASE", ""),
        host=environ.get("GP_CRM_SQLSERVER_HOST", ""),
        port=int(environ.get("GP_CRM_SQLSERVER_PORT") or 1433),
        user=environ.get("GP_CRM_SQLSERVER_USER"),
        password=Secret(environ.get("GP_CRM_SQLSERVER_PASSWORD", "")),
        driver=environ.get("GP_CRM_SQLSERVER_DRIVER") or "ODBC Driver 18 for SQL Server",
        encrypt=environ.get("GP_CRM_SQLSERVER_ENCRYPT", "true").lower() != "false",
        trust_cert=environ.get("GP_CRM_SQLSERVER_TRUST_CERT", "false").lower() == "true",
        retries=0,
    )


@dataclass
class Place:
    """A warehouse to connect to, and a schema in it for one test."""

    target: Target
    schema: str
    connect: Callable[[], Warehouse]

    @property
    def tables(self) -> dict[str, Table]:
        return journal_tables(self.target.type, self.target.database, self.schema)


def duckdb_target(directory: Path) -> Target:
    return Target(
        type="duckdb",
        name="duckdb",
        profile="gp_to_crm",
        schema="main",
        database="warehouse",
        path=directory / "warehouse.duckdb",
    )


def drop_schema(warehouse: Warehouse, schema: str) -> None:
    for kind, name in warehouse.query(
        "select table_type, table_name from information_schema.tables where table_schema = ?", [schema]
    ):
        warehouse.execute(f'drop {"view" if kind == "VIEW" else "table"} "{schema}"."{name}"')
    if warehouse.query("select schema_id(?)", [schema])[0][0] is not None:
        warehouse.execute(f'drop schema "{schema}"')
    warehouse.close()
