"""The sample company built once; each test gets a copy of it, a local CRM of its own and the loader's command line."""

from __future__ import annotations

import gc
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import duckdb
import pytest
from filelock import FileLock

from emulator import Emulator
from loader.cli import run_command
from loader.context import Context, Sources
from loader.contract import Contract, read_contract
from loader.profile import Target, read_target
from loader.warehouse.connect import connect
from loader.warehouse.connection import Warehouse
from sample import company, organisation, story
from sample.verify import Verification, staged, verify
from tests.project.dbt_runs import ON_DUCKDB, Dbt, at_home

PROJECT = Path(__file__).resolve().parents[1]
gc.set_threshold(100_000, 10, 10)  # by default Python would look for garbage every 700 objects, through all of dbt's


@dataclass
class Ended:
    """How a command ended. `data` and `error` are its JSON envelope's."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def envelope(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.stdout)
        return content

    @property
    def data(self) -> dict[str, Any]:
        content: dict[str, Any] = self.envelope["data"]
        return content

    @property
    def error(self) -> dict[str, Any]:
        content: dict[str, Any] = self.envelope["error"]
        return content

    @property
    def orders(self) -> dict[str, int]:
        content: dict[str, int] = self.data["records"]
        return content

    def result(self, order: str) -> dict[str, Any]:
        rows = self.data.get("results") or self.data.get("plans") or []
        found: dict[str, Any] = next(row for row in rows if row["key"] == order)
        return found


def known_contract(manifest: Path, adapter: str) -> Contract:
    """The contract, read once per process and state of the manifest."""
    return _contract(manifest, adapter, manifest.stat().st_mtime_ns if manifest.exists() else 0)


@cache
def _contract(manifest: Path, adapter: str, changed: int) -> Contract:
    return read_contract(manifest, adapter)


def target_on_one_thread(project: Path, profiles: Path | None, name: str | None, environ: Mapping[str, str]) -> Target:
    """The profile's target. The tests' processes have a core each, and DuckDB would begin as many threads as cores."""
    target = read_target(project, profiles, name, environ)
    return replace(target, options=(*target.options, ("threads", 1))) if target.type == "duckdb" else target


@dataclass
class Workbench:
    """A warehouse file with the sample company staged, a local CRM, and the loader between them."""

    path: Path
    target_path: Path
    crm: Emulator
    settings: dict[str, str] = field(default_factory=dict)
    sources: Sources = field(default_factory=lambda: Sources(target=target_on_one_thread, contract=known_contract))
    """Where the loader's commands in this process have their parts from."""
    project: Path = PROJECT

    @property
    def environ(self) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(("CRM_", "GP_CRM_", "DBT_"))},
            "GP_CRM_DUCKDB_PATH": str(self.path),
            "DBT_TARGET_PATH": str(self.target_path),
            "CRM_URL": self.crm.url,
            "CRM_AUTH": "token",
            "CRM_ACCESS_TOKEN": self.crm.token,
            **self.settings,
        }

    def release(self) -> None:
        """Leaves the file to another process, or to another way of opening it."""

    def start(self, *arguments: str, json_output: bool = True) -> subprocess.Popen[str]:
        """The loader as a process of its own, for signals and sudden death."""
        self.release()
        flags = ["--json"] if json_output else []
        return subprocess.Popen(
            [sys.executable, "-m", "loader", *arguments, *flags],
            cwd=PROJECT,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def loader(self, *arguments: str, json_output: bool = True) -> Ended:
        """Runs a command to its end, in this process."""
        flags = ["--project-dir", str(self.project), *(["--json"] if json_output else [])]
        stdout, stderr = io.StringIO(), io.StringIO()
        environ = {**self.environ, "COLUMNS": self.settings.get("COLUMNS", "100")}  # wherever the tests run
        with (
            mock.patch.dict(os.environ, environ, clear=True),
            redirect_stdout(stdout),
            redirect_stderr(stderr),
        ):
            exit_code = run_command([*arguments, *flags], self.sources)
        return Ended(exit_code, stdout.getvalue(), stderr.getvalue())

    def run(self, access: Literal["read", "write", "push"] = "read", **environ: str) -> Context:
        """The loader's parts in this process."""
        return Context(PROJECT, environ={**self.environ, **environ}, access=access, sources=self.sources)

    def warehouse(self) -> Warehouse:
        return connect(self.sources.target(PROJECT, None, None, self.environ), for_run=True)

    def query(self, sql: str, *params: object) -> list[tuple[Any, ...]]:
        warehouse = self.warehouse()
        try:
            return warehouse.query(sql, params)
        finally:
            warehouse.close()

    def execute(self, sql: str, *params: object) -> int:
        """A change in GP or in the journal."""
        warehouse = self.warehouse()
        try:
            return warehouse.execute(sql, params)
        finally:
            warehouse.close()

    def verify(
        self, apart: Collection[str | tuple[str, str]] = (), created: Collection[tuple[str, str]] = ()
    ) -> Verification:
        """CRM against every staged record that is not in `apart`, by its key or by table and key."""
        with self.run() as run:
            models = run.contract.models
            keys = {(model.table, key) if isinstance(key, str) else key for key in apart for model in models}
            everything = [staged(run.warehouse.query, model) for model in models]
            return verify(
                everything, self.crm, apart=keys, created=created, keeps_amounts=run.organization.keeps_amounts
            )


@dataclass
class KeptOpen(Workbench):
    """A workbench that keeps its file open between commands: to open one that nobody has open takes 40 ms."""

    _kept: Warehouse | None = None
    _kept_path: Path | None = None

    def __post_init__(self) -> None:
        self.sources = replace(self.sources, warehouse=self._beside)

    def _beside(self, target: Target, read_only: bool, for_run: bool) -> Warehouse:
        """A connection of its own to the file that stays open."""
        if self._kept is None or self._kept_path != target.path:
            self.release()
            self._kept, self._kept_path = connect(target, for_run=for_run), target.path
        return self._kept.side()

    def warehouse(self) -> Warehouse:
        return self.sources.warehouse(self.sources.target(PROJECT, None, None, self.environ), False, True)

    def release(self) -> None:
        if self._kept is not None:
            self._kept.close()
        self._kept = None


@dataclass(frozen=True)
class Built:
    path: Path
    target_path: Path

    @property
    def dbt(self) -> Dbt:
        return Dbt(self.path.parent)

    @property
    def as_tables(self) -> Built:
        """The same rows in tables: reading takes a fraction of the time, and what changes in GP does not arrive."""
        return Built(self.path.parent / "as_tables" / self.path.name, self.target_path)


def put_tables_for_views(path: Path) -> None:
    """Stores the rows of all models between GP's tables and CRM's."""
    with duckdb.connect(str(path)) as connection:
        views = "select view_name from duckdb_views() where regexp_matches(view_name, '^(stg|int|crm)_')"
        names = [name for (name,) in connection.execute(views).fetchall()]
        for name in names:
            connection.execute(f"create table stored_{name} as select * from {name}")
        for name in names:
            connection.execute(f"drop view {name}")
            connection.execute(f"alter table stored_{name} rename to {name}")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Built:
    """The sample company staged by dbt, once for all test processes."""
    return _build(tmp_path_factory, worker_id, "sample_company")


@pytest.fixture(scope="session")
def built_whole(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Built:
    """The same with the integrations around the order switched on."""
    return _build(tmp_path_factory, worker_id, "whole_company", "--vars", json.dumps(story.VARS))


def _build(tmp_path_factory: pytest.TempPathFactory, worker_id: str, name: str, *flags: str) -> Built:
    root = tmp_path_factory.getbasetemp() if worker_id == "master" else tmp_path_factory.getbasetemp().parent
    dbt = Dbt(root / name)
    made = Built(dbt.duckdb_path, dbt.target_path)
    with FileLock(root / f"{name}.lock"):
        if not (dbt.folder / "built").exists():
            dbt.folder.mkdir()
            environ = {"GP_CRM_DUCKDB_PATH": str(dbt.duckdb_path)}
            warehouse = connect(read_target(PROJECT, None, None, {**os.environ, **environ}), for_run=True, create=True)
            company.load(warehouse)
            warehouse.close()
            without = ["--exclude-resource-type", "unit_test", "--exclude-resource-type", "test"]
            dbt.succeed("build", *without, *ON_DUCKDB, *flags)
            made.as_tables.path.parent.mkdir()
            shutil.copy(made.path, made.as_tables.path)
            put_tables_for_views(made.as_tables.path)
            (dbt.folder / "built").touch()
    return made


@pytest.fixture(scope="session")
def bare_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project without its unit tests, which dbt reads in a fraction of the time."""
    folder = tmp_path_factory.mktemp("bare")
    copy_without_unit_tests(folder)
    return folder


def copy_without_unit_tests(folder: Path) -> None:
    """What dbt reads of the project, into an empty folder or a new one."""
    folder.mkdir(exist_ok=True)
    for path in PROJECT.glob("*.yml"):
        shutil.copy(path, folder)
    for part in ("models", "macros", "seeds", "tests/dbt"):
        shutil.copytree(PROJECT / part, folder / part)
    for path in folder.glob("models/**/*.yml"):
        text = path.read_text(encoding="utf-8")
        path.write_text(re.sub(r"^unit_tests:\n(?:[ #].*\n|\n)*", "", text, flags=re.MULTILINE), encoding="utf-8")


@pytest.fixture
def bench(request: pytest.FixtureRequest, built: Built, tmp_path: Path) -> Iterator[Workbench]:
    """SOP mode on, the caller an integration user. What changes in GP arrives where a test is marked `gp_changes`."""
    gp_changes = request.node.get_closest_marker("gp_changes") or "own_project" in request.fixturenames
    with ExitStack() as stack:
        yield open_bench(stack, built if gp_changes else built.as_tables, tmp_path)


@pytest.fixture
def own_project(bench: KeptOpen, built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    """A workbench whose dbt artifacts may be written; dbt finds the project as it was read before."""
    bench.sources = replace(bench.sources, warehouse=Sources().warehouse)  # dbt needs the file in between
    bench.target_path = tmp_path / "target"
    shutil.copytree(built.target_path, bench.target_path)
    bench.settings.update(at_home(tmp_path))
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    return bench


def open_bench(stack: ExitStack, built: Built, folder: Path, **emulator: Any) -> KeptOpen:
    """A workbench with a CRM of one's own making."""
    path = folder / "sample.duckdb"
    shutil.copy(built.path, path)
    crm = stack.enter_context(Emulator(**{"snapshot": organisation.snapshot(), **emulator}))
    bench = KeptOpen(path, built.target_path, crm)
    stack.callback(bench.release)
    return bench
