"""A warehouse of each kind, and the journal in it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from loader.profile import Target
from loader.warehouse.connect import connect
from loader.warehouse.connection import Warehouse
from loader.warehouse.journal import Journal, RunStart
from tests.warehouse.warehouse_places import Place, StoppedClock, drop_schema, duckdb_target, sqlserver_target

BACKENDS = ("pyodbc", "mssql-python")
"""Of dbt-sqlserver, and of the loader with it."""


@pytest.fixture(params=["duckdb", *(pytest.param(name, marks=pytest.mark.sqlserver) for name in BACKENDS)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    opened: list[Warehouse] = []

    def opening(target: Target) -> Callable[[], Warehouse]:
        def open_one() -> Warehouse:
            opened.append(connect(target, create=True))
            return opened[-1]

        return open_one

    if request.param == "duckdb":
        target = duckdb_target(tmp_path)
        yield Place(target, "main_journal", opening(target))
    else:
        if not os.environ.get("GP_CRM_SQLSERVER_HOST"):
            pytest.skip("GP_CRM_SQLSERVER_HOST is not set")
        target = replace(sqlserver_target(), backend=request.param)
        schema = f"loader_test_{uuid.uuid4().hex[:8]}"
        yield Place(target, schema, opening(target))
        drop_schema(connect(target), schema)
    for warehouse in opened:
        warehouse.close()


@pytest.fixture
def warehouse(place: Place) -> Warehouse:
    return place.connect()


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def journal(place: Place, warehouse: Warehouse, clock: StoppedClock) -> Journal:
    journal = Journal(warehouse, place.tables, clock)
    journal.prepare()
    return journal


@pytest.fixture
def begin(clock: StoppedClock) -> Callable[..., RunStart]:
    def begin(run_id: str = "run-1", **other: object) -> RunStart:
        run = RunStart.now("push", "https://contoso.crm.dynamics.com", "0.1.0", clock)
        return replace(run, run_id=run_id, **other)  # type: ignore[arg-type]

    return begin
