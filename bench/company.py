"""A generated GP company, staged by dbt in a DuckDB file or on SQL Server, and the CRM organisation that knows it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.process import PROJECT, Ran, run
from loader.context import Context
from loader.profile import Target, read_target
from loader.warehouse.connect import connect
from loader.warehouse.connection import Warehouse
from loader.warehouse.sqlserver import driver_path
from sample import generate

LINES = 5


@dataclass(frozen=True)
class Company:
    """`orders` orders of five lines, below `folder`. On `sqlserver`, GP's tables are made beside dbt's views."""

    folder: Path
    orders: int
    target: Literal["duckdb", "sqlserver"] = "duckdb"

    @property
    def environ(self) -> dict[str, str]:
        return {
            "DBT_TARGET": self.target,
            "GP_CRM_DUCKDB_PATH": str(self._file),
            "DBT_TARGET_PATH": str(self.folder / "target"),
            "DBT_LOG_PATH": str(self.folder / "logs"),
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        }

    def generate(self) -> None:
        """GP's tables, with the orders in them."""
        self.folder.mkdir(parents=True, exist_ok=True)
        warehouse = self._warehouse(create=True)
        try:
            generate.load(warehouse, self.orders, LINES, schema=self._schema)
        finally:
            warehouse.close()

    def add_history(self, documents: int) -> None:
        """So many orders and invoices that are done, with a line each, in the columns that the models read."""
        manifest = json.loads((self.folder / "target" / "manifest.json").read_text(encoding="utf-8"))
        columns = {each["name"]: list(each["columns"]) for each in manifest["sources"].values()}
        warehouse = self._warehouse()
        try:
            generate.history(warehouse, documents, self.orders, columns, schema=self._schema)
        finally:
            warehouse.close()

    def build(self, is_first: bool = True) -> Ran:
        """`dbt build` as `push --build` runs it: models, seeds and data tests; unit tests are about the mapping."""
        command = [sys.executable, "-m", "dbt.cli.main", "--quiet", "build", "--exclude-resource-type", "unit_test"]
        command += ["--project-dir", str(PROJECT), "--target", self.target]
        if self.target == "sqlserver":
            built = run(command, {**self.environ, "GP_CRM_SQLSERVER_DRIVER": driver_path(self._target)})
            self.forget_pushes()
            return built
        built = run(command, self.environ)
        if is_first:
            shutil.copy(self._file, self._staged)
        return built

    def forget_pushes(self) -> None:
        """Nothing in the journal; in DuckDB, no changes in GP either: the file as it was when it was built first."""
        if self.target == "duckdb":
            shutil.copy(self._staged, self._file)
        else:
            self.forget_journal()

    def forget_journal(self) -> None:
        with Context(PROJECT, target_name=self.target, access="write", environ={**os.environ, **self.environ}) as its:
            for table in its.contract.journal.values():
                its.warehouse.execute(f"delete from {table.relation}")

    def change(self, every: int) -> None:
        """One order in `every` gets another quantity."""
        warehouse = self._warehouse()
        try:
            generate.edit(warehouse, every, schema=self._schema)
        finally:
            warehouse.close()

    def organisation(self, sop_mode: bool = True) -> Path:
        """A snapshot without orders. Orders have an alternate key by name, which Microsoft's client upserts by."""
        path = self.folder / f"organisation{'' if sop_mode else '_without_sop_mode'}.json"
        content = generate.snapshot(self.orders, LINES, sop_mode=sop_mode)
        content["keys"] = [{"table": "salesorder", "columns": ["name"]}]
        path.write_text(json.dumps(content, default=str), encoding="utf-8")
        return path

    @property
    def _schema(self) -> str:
        return "gp" if self.target == "duckdb" else "dbo"

    @property
    def _file(self) -> Path:
        return self.folder / "company.duckdb"

    @property
    def _staged(self) -> Path:
        return self.folder / "company_staged.duckdb"

    def _warehouse(self, create: bool = False) -> Warehouse:
        return connect(self._target, for_run=True, create=create)

    @property
    def _target(self) -> Target:
        return read_target(PROJECT, None, self.target, {**os.environ, **self.environ})
