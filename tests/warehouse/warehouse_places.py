"""Warehouses to test on, the journal's tables as dbt declares them, and a clock that stands."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Template

from loader.contract import JOURNAL_TABLES
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


MODELS = Path(__file__).resolve().parents[2] / "models" / "journal"


@cache
def _models() -> dict[str, Any]:
    return {
        name: yaml.safe_load((MODELS / f"{name}.yml").read_text(encoding="utf-8"))["models"] for name in JOURNAL_TABLES
    }


def journal_tables(dialect: str, database: str, schema: str) -> dict[str, Table]:
    """The journal's tables as the models' YAML declares them."""
    tables = {}
    for name, (model,) in _models().items():
        tables[name] = Table(
            f'"{database}"."{schema}"."{name}"',
            tuple(
                (column["name"], Template(column["data_type"]).render(target={"type": dialect}))
                for column in model["columns"]
            ),
        )
    return tables


def sqlserver_target() -> Target:
    environ = os.environ
    return Target(
        type="sqlserver",
        name="sqlserver",
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
