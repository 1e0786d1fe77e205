"""Runs dbt with a target folder of its own, and reads what it wrote."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[2]
DUCKDB_FILE = "sample.duckdb"
ON_DUCKDB = ("--target", "duckdb")
"""As the loader names it to dbt, which reads a project anew wherever it is named otherwise than before."""
ORDERS = (
    "models/crm/sales_orders/*",
    "models/staging/gp/stg_gp__sales_order*",
    "models/staging/gp/stg_gp__customer_addresses*",
    "models/staging/gp/stg_gp__items*",
)
"""Models with the same SQL whichever integrations are switched on (tests/end_to_end/test_sample_everything.py)."""

Node = dict[str, Any]


def at_home(folder: Path) -> dict[str, str]:
    """The environment of a process for which the folder of a DuckDB file is the user's home."""
    return {"HOME": str(folder), "USERPROFILE": str(folder), "GP_CRM_DUCKDB_PATH": f"~/{DUCKDB_FILE}"}


def is_of_orders(path: str) -> bool:
    """Whether a file of the project is one of an order's own models."""
    return any(fnmatch(path, pattern) for pattern in ORDERS)


def gp_columns_of(crm: Node) -> list[str]:
    """The GP columns that meta.crm of a column names: one of them or a list."""
    names: str | list[str] = crm.get("gp", [])
    return [names] if isinstance(names, str) else names


@dataclass(frozen=True)
class Dbt:
    """dbt with a target folder of its own, in this process: importing dbt takes as long as many a run.

    Its folder is its home, from where it sees the DuckDB file. In a copy of the folder everything is called by the same
    name, so that dbt need not read the project again.
    """

    folder: Path
    project: Path = PROJECT
    environ: tuple[tuple[str, str], ...] = ()

    def parse(self, *arguments: str) -> str | None:
        """Why dbt cannot parse the project; None if it can."""
        return self._invoke("parse", *arguments)

    def compile_for(self, target: str, *arguments: str) -> Dbt:
        """The project compiled for a server that need not be there."""
        problem = self.why_not_compiled_for(target, *arguments)
        assert problem is None, problem
        return self

    def why_not_compiled_for(self, target: str, *arguments: str) -> str | None:
        return self._invoke("compile", "--target", target, "--no-introspect", "--no-populate-cache", *arguments)

    def succeed(self, *arguments: str) -> Dbt:
        problem = self._invoke(*arguments)
        assert problem is None, problem
        return self

    def rendered(self, template: str, *arguments: str) -> str:
        """What dbt makes of a piece of Jinja in this project."""
        done = self._invoked("compile", "--inline", template, *arguments)
        assert done.success, done
        return str(done.result.results[0].node.compiled_code)

    def _invoke(self, *arguments: str) -> str | None:
        done = self._invoked(*arguments)
        if done.success:
            return None
        if done.exception:
            return str(done.exception)
        return "\n".join(str(result.message) for result in getattr(done.result, "results", ()) if result.message)

    def _invoked(self, *arguments: str) -> Any:
        from dbt.adapters.duckdb.connections import DuckDBConnectionManager
        from dbt.cli.main import dbtRunner  # takes long to load

        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.project)  # where dbt goes; and back at the end
            for name in [name for name in os.environ if name.startswith(("DBT_", "GP_CRM_"))]:
                patch.delenv(name)
            for name, value in self._environ.items():
                patch.setenv(name, value)
            done = dbtRunner().invoke(["--quiet", "--no-use-colors", *self._placed(arguments)])
        if DuckDBConnectionManager._ENV:
            DuckDBConnectionManager._ENV.close()  # or dbt would keep the file to itself
        return done

    def _placed(self, arguments: Sequence[str]) -> list[str]:
        # More threads would wait for one another: nearly all that dbt does is Python.
        return [*arguments, "--project-dir", str(self.project), "--threads", "1"]

    @property
    def _environ(self) -> dict[str, str]:
        return {
            "DBT_TARGET_PATH": str(self.target_path),
            "DBT_LOG_PATH": str(self.folder / "logs"),
            "DBT_LOG_LEVEL_FILE": "none",
            "DBT_PROFILES_DIR": str(PROJECT),
            **at_home(self.folder),
            **dict(self.environ),
        }

    @property
    def duckdb_path(self) -> Path:
        return self.folder / DUCKDB_FILE

    @property
    def target_path(self) -> Path:
        return self.folder / "target"

    def copy_to(self, folder: Path) -> Dbt:
        """The same build in another folder."""
        shutil.copy(self.duckdb_path, folder)
        shutil.copytree(self.target_path, folder / "target")
        return Dbt(folder, self.project, self.environ)

    @cached_property
    def manifest(self) -> Node:
        manifest: Node = json.loads((self.target_path / "manifest.json").read_text(encoding="utf-8"))
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
        folder = self.target_path / "compiled" / "gp_to_crm"
        return {
            str(path.relative_to(folder)): path.read_text(encoding="utf-8")
            for path in sorted(folder.rglob("*.sql"))
            if path.is_file()
        }
