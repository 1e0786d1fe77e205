"""The dbt project, compiled for SQL Server without a server, and built on DuckDB with the sample company."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import pytest

from loader.profile import read_target
from loader.warehouse.connection import connect
from sample import company

PROJECT = Path(__file__).resolve().parents[2]

Node = dict[str, Any]


@dataclass(frozen=True)
class Dbt:
    """dbt with a target folder of its own."""

    folder: Path
    project: Path = PROJECT
    environ: tuple[tuple[str, str], ...] = ()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "dbt.cli.main", "--no-use-colors", *arguments],
            cwd=self.project,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith(("DBT_", "GP_CRM_"))},
                "DBT_TARGET_PATH": str(self.folder / "target"),
                "DBT_LOG_PATH": str(self.folder / "logs"),
                "DBT_PROFILES_DIR": str(PROJECT),
                "GP_CRM_DUCKDB_PATH": str(self.folder / "company.duckdb"),
                **dict(self.environ),
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def succeed(self, *arguments: str) -> Dbt:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return self

    @property
    def duckdb_path(self) -> Path:
        return self.folder / "company.duckdb"

    @cached_property
    def manifest(self) -> Node:
        manifest: Node = json.loads((self.folder / "target" / "manifest.json").read_text(encoding="utf-8"))
        return manifest

    def nodes(self, resource_type: str) -> dict[str, Node]:
        """The project's own nodes of a type, by name."""
        nodes = [*self.manifest["nodes"].values(), *self.manifest["unit_tests"].values()]
        return {
            node["name"]: node
            for node in nodes
            if node["resource_type"] == resource_type and node["package_name"] == "gp_to_crm"
        }

    @property
    def compiled(self) -> dict[str, str]:
        """The SQL of models and data tests, by file."""
        folder = self.folder / "target" / "compiled" / "gp_to_crm"
        return {
            str(path.relative_to(folder)): path.read_text(encoding="utf-8")
            for path in sorted(folder.rglob("*.sql"))
            if path.is_file()
        }


@pytest.fixture(scope="session")
def on_sqlserver(tmp_path_factory: pytest.TempPathFactory) -> Dbt:
    """The project compiled for SQL Server."""
    return Dbt(tmp_path_factory.mktemp("sqlserver")).succeed(
        *("compile", "--target", "sqlserver", "--no-introspect", "--no-populate-cache"),
        *("--exclude", "resource_type:unit_test"),
    )


@pytest.fixture(scope="session")
def bare_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project without its tests, which dbt reads in a fraction of the time."""
    folder = tmp_path_factory.mktemp("bare")
    for path in PROJECT.glob("*.yml"):
        shutil.copy(path, folder)
    for part in ("models", "macros", "seeds"):
        shutil.copytree(PROJECT / part, folder / part, ignore=lambda _, names: [n for n in names if is_test_yaml(n)])
    return folder


def is_test_yaml(name: str) -> bool:
    return name.endswith(".yml") and name != "__sources.yml"


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Dbt:
    """The project built on DuckDB with the sample company, unit tests and all."""
    dbt = Dbt(tmp_path_factory.mktemp("duckdb"))
    target = read_target(PROJECT, PROJECT, "duckdb", {"GP_CRM_DUCKDB_PATH": str(dbt.duckdb_path)})
    warehouse = connect(target, create=True)
    company.load(warehouse)
    warehouse.close()
    return dbt.succeed("build", "--threads", "2")


@pytest.fixture
def warehouse(built: Dbt) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(str(built.duckdb_path), read_only=True)
