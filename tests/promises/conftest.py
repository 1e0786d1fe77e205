"""A handful of staged orders, as tables: a run takes a fraction of a second and a test edits GP with an update."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote_plus

import pytest
from filelock import FileLock

from emulator import Emulator
from emulator.certificates import Files, make
from loader.context import Context, Sources
from loader.contract import Contract
from loader.dataverse.client import Client
from loader.dataverse.describe import read_tables
from loader.dataverse.metadata import Table
from loader.keys import fold
from loader.profile import Target, read_target
from loader.warehouse.connect import connect
from loader.warehouse.connection import Warehouse
from loader.warehouse.journal import Journal
from sample import organisation
from sample.verify import StagedModel, staged, verify
from tests.conftest import PROJECT, Built, Ended, KeptOpen, known_contract, target_on_one_thread
from tests.promises.atomicity import Atomicity
from tests.promises.mortal import Hasty

NEW = ("ORDST0007", "ORDST2243", "ORDST2262", "ORDST2291", "ORDST2292")
IN_CRM = ("ORDST2226", "ORDST2227", "ORDST2232")
"""With other lines than GP's; the last one is Submitted."""
CLOSED = "ORDST2229"
WITHOUT_PRODUCT = "ORDST2273"
ORDERS = (*NEW, *IN_CRM, CLOSED, WITHOUT_PRODUCT)
GOING = frozenset((*NEW, *IN_CRM))
CLIENT = "5a2d9c1e-0000-4000-8000-00000000c11e"
SECRET = "s3cret~of.the-app+lication/=="
PASSWORD = "pass phrase of the key"


@dataclass
class Handful(KeptOpen):
    """A workbench with the orders above, and an eye on every commit of CRM's."""

    apart: set[str] = field(default_factory=lambda: {CLOSED, WITHOUT_PRODUCT})
    """Staged orders that cannot go."""

    @cached_property
    def atomicity(self) -> Atomicity:
        return Atomicity(self.crm)

    def push(self, *arguments: str) -> Ended:
        """`loader push`, with every commit watched."""
        self.watch()
        return self.loader("push", *arguments)

    def watch(self) -> None:
        """From here on CRM's orders may be as they are, or as they are staged now."""
        self.atomicity.remember()
        self.atomicity.allow(*self.staged())

    def staged(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The staged rows, read with plain SQL."""
        warehouse = self.warehouse()
        try:
            return staged_rows(warehouse, self.contract)
        finally:
            warehouse.close()

    @property
    def contract(self) -> Contract:
        return contract_of(self.target_path)

    def edit(self, order: str) -> None:
        """GP changes the quantity of every line of an order."""
        self.execute("update crm_salesorderdetail set quantity = quantity + 1 where salesorderid = ?", order)

    def stage_copies(self, of: str, *names: str, text: str | None = None) -> None:
        """GP gets orders of these names that are copies of another one; with `text`, it stands in two columns."""
        for model, key, column in (
            ("crm_salesorder", "name", "description"),
            ("crm_salesorderdetail", "salesorderid", "shipto_name"),
        ):
            replaced = f"new as {key}" + (", left(new, 100) as ordernumber" if key == "name" else "")
            replaced += f", ? as {column}" if text else ""
            self.execute(
                f"insert into {model} select copy.* replace ({replaced}) from {model} as copy,"
                f""" (select unnest(from_json(?, '["varchar"]')) as new) where copy.{key} = ?""",
                *([text] if text else []),
                json.dumps(names),
                of,
            )

    def unstage(self, order: str) -> None:
        """The order leaves GP's open orders."""
        self.execute("delete from crm_salesorderdetail where salesorderid = ?", order)
        self.execute("delete from crm_salesorder where name = ?", order)

    def in_crm(self, order: str) -> list[dict[str, Any]]:
        """CRM's orders of this name; each with its lines under `lines`."""
        lines = self.crm.rows("salesorderdetail")
        return [
            {**row, "lines": [line for line in lines if line["salesorderid"]["id"] == row["salesorderid"]]}
            for row in self.crm.rows("salesorder")
            if fold(row["name"]) == fold(order)
        ]

    def kill_lock(self) -> None:
        """What the death of a run's process does to its lock: nobody has that number any more."""
        self.execute("update main_journal.sync_lock set pid = 4194300")

    # ------------------------------------------------ what must hold after every run

    def assert_crm_holds_what_is_staged(self, *but: str) -> None:
        """Value by value, except for orders that cannot go and those named."""
        headers, lines = self.staged()
        assert_equal(self.crm, self.contract, headers, lines, self.apart | set(but))

    def assert_whole(self) -> None:
        """No commit ever left an order without its lines, with doubled lines, or half changed."""
        assert self.atomicity.broken == []
        assert self.crm.crashes == []

    def assert_adds_up(self, ended: Ended | None = None) -> None:
        """The latest run's counts are its staged orders, and all that is in trouble waits in the queue."""
        warehouse = self.warehouse()
        try:
            assert_journal_adds_up(warehouse)
        finally:
            warehouse.close()
        if ended is not None:
            (counted,) = self.query(
                "select staged, created, updated, unchanged, skipped, blocked, failed from main_journal.sync_run"
                " where run_id = ?",
                ended.data["run_id"],
            )
            assert list(counted[1:]) == list(ended.orders.values())

    def assert_in_sync(self) -> None:
        """A push has nothing left to write, and CRM is as staged."""
        again = self.push()
        assert again.exit_code == 3, again.stdout + again.stderr
        assert again.data["requests"]["write"] == 0
        headers, lines = self.staged()
        assert again.orders["unchanged"] == len(headers) - len(self.apart)
        assert_equal(self.crm, self.contract, headers, lines, self.apart)
        assert self.atomicity.commits
        self.assert_whole()
        self.assert_adds_up(again)


def assert_journal_adds_up(warehouse: Warehouse) -> None:
    run = warehouse.query(
        "select run_id, staged, created, updated, unchanged, skipped, blocked, failed, outcome"
        " from main_journal.sync_run order by started_at desc limit 1"
    )[0]
    assert run[1] == sum(int(str(count)) for count in run[2:8]), run
    in_trouble = {
        str(key)
        for (key,) in warehouse.query(
            "select record_key from main_journal.sync_event where run_id = ? and outcome in ('blocked', 'failed')",
            [run[0]],
        )
    }
    assert len(in_trouble) == int(str(run[6])) + int(str(run[7]))
    in_trouble -= {
        str(key)
        for (key,) in warehouse.query(
            "select record_key from main_journal.sync_event where run_id = ? and reason = 'plan_stale'", [run[0]]
        )
    }
    queue = warehouse.query("select record_key, state, attempts from main_journal.retry_queue")
    assert len(queue) == len({key for key, _, _ in queue}), "an order is in the queue twice"
    assert in_trouble <= {str(key) for key, state, _ in queue if state == "open"}


def assert_equal(
    crm: Emulator, contract: Contract, headers: list[dict[str, Any]], lines: list[dict[str, Any]], apart: set[str]
) -> None:
    expected = {header["name"] for header in headers} - apart
    model = contract.model_of("salesorder")
    verified = verify([StagedModel(model, headers, lines)], crm, apart={(model.table, key) for key in apart})
    assert verified.differences == []
    assert verified.orders == len(expected)
    names = [fold(row["name"]) for row in crm.rows("salesorder")]
    assert all(names.count(fold(name)) == 1 for name in expected), "an order is in CRM twice"


def staged_rows(warehouse: Warehouse, contract: Contract) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    orders = staged(warehouse.query, contract.model_of("salesorder"))
    return [dict(row) for row in orders.rows], [dict(line) for line in orders.lines]


def contract_of(target_path: Path) -> Contract:
    return known_contract(target_path / "manifest.json", "duckdb")


@pytest.fixture(scope="session")
def small(built: Built, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Built:
    """The company with a handful of orders: crm_* are tables here, and of the other models only `AUDITS` exist."""
    root = tmp_path_factory.getbasetemp() if worker_id == "master" else tmp_path_factory.getbasetemp().parent
    folder = root / "handful"
    with FileLock(root / "handful.lock"):
        if not (folder / "built").exists():
            folder.mkdir()
            stage_as_tables(built.as_tables, folder / "sample.duckdb", {"crm_salesorder": ORDERS})
            (folder / "built").touch()
    return Built(folder / "sample.duckdb", built.target_path)


AUDITS = (
    "audit_journal_records",
    "audit_record_status",
    "audit_record_warnings",
    "audit_missing_references",
    "audit_unmapped_codes",
)
"""The views that commands select from and that need only the crm models and the journal, in the order to make."""


def stage_as_tables(built: Built, path: Path, records: Mapping[str, Iterable[str]]) -> None:
    """A warehouse whose crm_* models are tables with these records of the sample company, with `AUDITS` over them."""
    environ = {**os.environ, "GP_CRM_DUCKDB_PATH": str(path)}
    warehouse = connect(read_target(PROJECT, None, None, environ), for_run=True, create=True)
    warehouse.execute(f"attach '{built.path}' as company (read_only)")
    for model in contract_of(built.target_path).models:
        kept = json.dumps([fold(key) for key in records.get(model.name, ())])
        names = {model.name: model.key_column}
        if model.children and model.meta.children:
            names[model.children.name] = model.meta.children.via
        for name, key in names.items():
            warehouse.execute("use company")  # the views name their sources without a database
            warehouse.execute(
                f"create table sample.main.{name} as select * from company.main.{name}"
                f""" where lower(rtrim({key}, ' ')) in (select unnest(from_json(?, '["varchar"]')))""",
                [kept],
            )
            warehouse.execute("use sample")
    for seed in ("xref_order_status", "xref_payment_terms", "xref_shipping_method"):
        warehouse.execute(f"create table sample.main.{seed} as select * from company.main.{seed}")
    Journal(warehouse, contract_of(built.target_path).journal).prepare()
    for view in AUDITS:
        sql = "select sql from duckdb_views() where database_name = 'company' and view_name = ?"
        ((create,),) = warehouse.query(sql, [view])
        warehouse.execute(str(create))
    warehouse.close()


@contextmanager
def folder_in_memory() -> Iterator[Path]:
    """A folder without a disk behind it, where there is such a thing: a journal writes often and little."""
    fast = Path("/dev/shm")
    with TemporaryDirectory(dir=fast if fast.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture
def in_memory() -> Iterator[Path]:
    with folder_in_memory() as folder:
        yield folder


@pytest.fixture
def handful(small: Built, in_memory: Path) -> Iterator[Handful]:
    """CRM's metadata and the contract are read once per process; `live_metadata` has CRM asked each time."""
    with ExitStack() as stack:
        yield open_handful(stack, small, in_memory)


@pytest.fixture
def waits(request: pytest.FixtureRequest) -> list[float]:
    """Runs wait a thousandth of what they want to wait; how long they wanted is in the list."""
    wanted: list[float] = []
    bench: Handful = request.getfixturevalue("secure" if "secure" in request.fixturenames else "handful")
    bench.sources = replace(bench.sources, stop=lambda: Hasty(1000, wanted))
    return wanted


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def secure(small: Built, in_memory: Path, certificates: Files) -> Iterator[Handful]:
    """CRM and its login service over TLS, with a certificate authority of the company's own."""
    with ExitStack() as stack:
        tls = (certificates.certificate, certificates.key)
        bench = open_handful(stack, small, in_memory, tls=tls, secrets={CLIENT: SECRET})
        bench.settings.update(
            CRM_AUTH="client_secret",
            CRM_AUTHORITY=bench.crm.url,
            CRM_TENANT_ID="contoso.example",
            CRM_CLIENT_ID=CLIENT,
            CRM_CLIENT_SECRET=SECRET,
            CRM_CA_BUNDLE=str(certificates.authority),
        )
        yield bench


def assert_told_nobody(handful: Handful, *runs: Ended, files: tuple[Path, ...] = ()) -> None:
    """No secret and no token, nor a good part of one, in any output, table or file."""
    whole = [SECRET, quote_plus(SECRET), PASSWORD, *handful.crm.tokens.issued]
    secrets = [part for secret in whole for part in (secret[:10], secret[-10:])]
    texts = {f"output of run {number}": run.stdout + run.stderr for number, run in enumerate(runs)}
    for (table,) in handful.query(
        "select table_name from information_schema.tables where table_schema like '%journal'"
    ):
        texts[str(table)] = repr(handful.query(f'select * from main_journal."{table}"'))
    texts.update({str(path): path.read_bytes().decode("latin-1") for path in (handful.path, *files)})
    assert len(texts) > len(runs)
    told = [where for where, text in texts.items() for secret in secrets if secret in text]
    assert told == []


@pytest.fixture
def live_metadata(handful: Handful) -> None:
    handful.sources = replace(handful.sources, tables=read_tables)


def open_handful(stack: ExitStack, small: Built, folder: Path, **emulator: Any) -> Handful:
    path = folder / "sample.duckdb"
    shutil.copy(small.path, path)
    crm = stack.enter_context(Emulator(**{"snapshot": organisation.snapshot(), **emulator}))
    sources = replace(KNOWN, tables=read_tables) if "snapshot" in emulator else KNOWN
    handful = Handful(path, small.target_path, crm, sources=sources)
    stack.callback(handful.release)
    return handful


_tables: dict[str, Table] = {}


def _known_tables(client: Client, names: Iterable[str]) -> Mapping[str, Table]:
    unknown = [name for name in names if name not in _tables]
    if unknown:
        _tables.update(read_tables(client, unknown))
    return _tables


@cache
def _duckdb_target() -> Target:
    return target_on_one_thread(PROJECT, None, "duckdb", {"GP_CRM_DUCKDB_PATH": "sample.duckdb"})


def known_target(project: Path, profiles: Path | None, name: str | None, environ: Mapping[str, str]) -> Target:
    """The project's DuckDB target with another file; its YAML is read once per process."""
    return replace(_duckdb_target(), path=Path(environ["GP_CRM_DUCKDB_PATH"]))


KNOWN = Sources(target=known_target, contract=known_contract, tables=_known_tables)
"""What does not change from test to test is read once per process."""


__all__ = [
    "CLIENT",
    "CLOSED",
    "GOING",
    "IN_CRM",
    "NEW",
    "ORDERS",
    "PASSWORD",
    "SECRET",
    "WITHOUT_PRODUCT",
    "Context",
    "Handful",
]
