"""Runs dbt with a target folder of its own, and reads what it wrote."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from dbt.cli.main import dbtRunner

PROJECT = Path(__file__).resolve().parents[2]

Node = dict[str, Any]


def gp_columns_of(crm: Node) -> list[str]:
    """The GP columns that meta.crm of a column names: one of them or a list."""
    names: str | list[str] = crm.get("gp", [])
    return [names] if isinstance(names, str) else names


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
                **self._environ,
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def parse(self, *arguments: str) -> str | None:
        """Why dbt cannot parse the project; None if it can. In this process, which saves starting one."""
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith(("DBT_", "GP_CRM_"))]:
                patch.delenv(name)
            for name, value in self._environ.items():
                patch.setenv(name, value)
            done = dbtRunner().invoke(
                ["--quiet", "--no-use-colors", "parse", "--project-dir", str(self.project), *arguments]
            )
        return str(done.exception) if done.exception else None

    def succeed(self, *arguments: str) -> Dbt:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return self

    @property
    def _environ(self) -> dict[str, str]:
        return {
            "DBT_TARGET_PATH": str(self.folder / "target"),
            "DBT_LOG_PATH": str(self.folder / "logs"),
            "DBT_PROFILES_DIR": str(PROJECT),
            "GP_CRM_DUCKDB_PATH": str(self.duckdb_path),
            **dict(self.environ),
        }

    @property
    def duckdb_path(self) -> Path:
        return self.folder / "company.duckdb"

    @cached_property
    def manifest(self) -> Node:
        manifest: Node = json.loads((self.folder / "target" / "manifest.json").read_text(encoding="utf-8"))
        return manifest

    def nodes(self, resource_type: str) -> dict[str, Node]:
        """The project's own nodes of a type, by name; tests of models that are switched off are none."""
        nodes = [*self.manifest["nodes"].values(), *self.manifest["unit_tests"].values()]
        return {
            node["name"]: node
            for node in nodes
            if node["resource_type"] == resource_type
            and node["package_name"] == "gp_to_crm"
            and node["config"].get("enabled", True)
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
