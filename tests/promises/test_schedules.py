"""Runs through random sequences of faults, deaths, stops and changes on both sides; in the end all is as staged.

A failing schedule tells its number: `SCHEDULE=1234 pytest tests/promises/test_schedules.py` runs it alone.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from emulator import Emulator
from loader.context import Context, Sources
from loader.contract import Contract
from loader.dataverse.auth import Bearer
from loader.dataverse.pace import Patience
from loader.errors import LoaderError
from loader.profile import Target
from loader.push.pushing import push
from loader.push.tally import PushReport
from loader.settings import Settings
from loader.warehouse.connect import connect
from loader.warehouse.connection import Warehouse
from loader.warehouse.journal import Journal
from sample import organisation
from tests.conftest import PROJECT, Built
from tests.promises.atomicity import Atomicity
from tests.promises.conftest import (
    IN_CRM,
    NEW,
    WITHOUT_PRODUCT,
    assert_equal,
    assert_journal_adds_up,
    contract_of,
    open_handful,
    staged_rows,
)
from tests.promises.mortal import Fate, Hasty, Killed, MortalClient, mortal
from tests.thorough import THOROUGH

SCHEDULES = int(os.environ.get("SCHEDULES", "96" if THOROUGH else "12"))
"""More of them, as in `SCHEDULES=1000 pytest …`, look further."""
GROUPS = 4
TIMEOUT = 0.2
"""Seconds after which a run takes a request for lost."""
UNKNOWN_PRODUCT = "OM08670"
ORDERS = (*NEW[:2], NEW[4], *IN_CRM, WITHOUT_PRODUCT)


@dataclass
class Ground:
    """What all schedules of a test start from."""

    warehouse: Warehouse
    sources: Sources
    settings: Settings
    contract: Contract
    snapshot: dict[str, Any]

    def reset(self) -> None:
        for table in ("crm_salesorder", "crm_salesorderdetail"):
            self.warehouse.execute(f"delete from {table}")
            self.warehouse.execute(f"insert into {table} select * from first_{table}")
        for (journal_table,) in self.warehouse.query(
            "select table_name from information_schema.tables where table_schema = 'main_journal'"
        ):
            self.warehouse.execute(f"delete from main_journal.{journal_table}")


@pytest.fixture(scope="module")
def ground(small: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with ExitStack() as stack:
        bench = open_handful(stack, small, tmp_path_factory.mktemp("schedules"))
        with bench.run() as run:
            tables, organization, settings = run.tables, run.organization, run.settings
            warehouse = in_memory(run.target)
        contract = contract_of(small.target_path)
        Journal(warehouse, contract.journal).prepare()
        stack.callback(warehouse.close)
        sources = replace(
            bench.sources,
            target=lambda *_: run.target,
            contract=lambda *_: contract,
            organization=lambda _: organization,
            tables=lambda *_: tables,
        )
        yield Ground(warehouse, sources, settings, contract, organisation.snapshot())


def in_memory(target: Target) -> Warehouse:
    """The staged orders of `target` in memory: what a run costs is mostly the disk."""
    warehouse = connect(replace(target, path=Path(":memory:")), for_run=True, create=True)
    for sql in (
        "attach ':memory:' as sample",
        f"attach '{target.path}' as disk (read_only)",
        "use sample",
        "set threads = 1",
    ):
        warehouse.execute(sql)
    for table in ("crm_salesorder", "crm_salesorderdetail"):
        for name in (table, f"first_{table}"):
            key = "name" if table == "crm_salesorder" else "salesorderid"
            warehouse.execute(f"create table {name} as select * from disk.main.{table} where {key} in {ORDERS}")
    warehouse.execute("detach disk")
    return warehouse


@dataclass
class World:
    """GP, CRM, and what was done to them."""

    ground: Ground
    crm: Emulator
    random: random.Random
    story: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.atomicity = Atomicity(self.crm)
        self._staged: tuple[list[dict[str, Any]], list[dict[str, Any]]] | None = None

    @property
    def gp(self) -> Warehouse:
        return self.ground.warehouse

    # ------------------------------------------------ one run

    def run(self, fate: Fate, stop: Hasty, **options: Any) -> PushReport | None:
        """A push; None where it died, or found CRM out of reach before it began."""
        self.atomicity.remember()
        self.atomicity.allow(*self.staged())
        changed = {
            "crm_url": self.crm.url,
            "batch_size": options.get("batch_size", 1000),
            "concurrency": options.get("concurrency", 1),
        }
        settings = self.ground.settings.model_copy(update=changed)
        client = MortalClient(
            self.crm.url,
            Bearer(lambda patience, attempts: (self.crm.token_for(None), None)),
            timeout=TIMEOUT,
            concurrency=settings.concurrency,
            patience=Patience(stop),
        )
        client.fate, client.dies_waiting = fate, bool(options.get("dies_waiting"))
        sources = replace(
            self.ground.sources,
            settings=lambda *_: settings,
            warehouse=lambda *_: mortal(self.gp, fate),
            client=lambda *_: client,
            stop=lambda: stop,
        )
        with Context(PROJECT, sources=sources) as run:
            try:
                return push(run, only=options.get("only", ()))
            except LoaderError as error:  # before the first order
                if error.exit_code not in (5, 6):
                    raise
                self.story.append(f"  {error}")
                return None
            except Killed:
                self.gp.execute("update main_journal.sync_lock set pid = 4194300")  # its process is gone
                return None

    def staged(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        if self._staged is None:
            self._staged = staged_rows(self.gp, self.ground.contract)
        return self._staged

    def edit(self, name: str, order: str) -> None:
        with self.crm.lock:
            getattr(self, name)(order)
        self._staged = None
        self.story.append(f"{name} {order}")

    def settled(self) -> None:
        """Nothing is under way any more."""
        end = time.monotonic() + 10
        while self.crm.in_flight:
            assert time.monotonic() < end
            time.sleep(0.005)

    # ------------------------------------------------ what happens to GP

    def gp_quantity(self, order: str) -> None:
        self.gp.execute("update crm_salesorderdetail set quantity = quantity + 1 where salesorderid = ?", [order])

    def gp_text(self, order: str) -> None:
        self.gp.execute("update crm_salesorder set description = ? where name = ?", [str(self.random.random()), order])

    def gp_clears(self, order: str) -> None:
        sql = "update crm_salesorder set pricelevelid = null, shipto_city = null, billto_line2 = null where name = ?"
        self.gp.execute(sql, [order])

    def gp_line_added(self, order: str) -> None:
        self.gp.execute(
            "insert into crm_salesorderdetail select * replace (lineitemnumber + ? as lineitemnumber)"
            " from crm_salesorderdetail where salesorderid = ? order by lineitemnumber desc limit 1",
            [self.random.randint(1, 9), order],
        )

    def gp_line_removed(self, order: str) -> None:
        self.gp.execute(
            "delete from crm_salesorderdetail where salesorderid = ? and lineitemnumber ="
            " (select max(lineitemnumber) from crm_salesorderdetail where salesorderid = ?)",
            [order, order],
        )

    def gp_status(self, order: str) -> None:
        state, status = self.random.choice([(0, 1), (0, 2), (1, 3)])
        sql = "update crm_salesorder set statecode = ?, statuscode = ? where name = ?"
        self.gp.execute(sql, [state, status, order])

    def gp_item(self, order: str) -> None:
        """An item that CRM does not know, or the one that it was at first."""
        known = self.random.random() < 0.6
        new = "first_.productid" if known else f"'{UNKNOWN_PRODUCT}'"
        self.gp.execute(
            f"update crm_salesorderdetail set productid = {new} from first_crm_salesorderdetail first_"
            " where crm_salesorderdetail.salesorderid = ? and first_.salesorderid = crm_salesorderdetail.salesorderid"
            " and first_.lineitemnumber = crm_salesorderdetail.lineitemnumber and first_.productid is not null",
            [order],
        )

    def gp_drops(self, order: str) -> None:
        self.gp.execute("delete from crm_salesorderdetail where salesorderid = ?", [order])
        self.gp.execute("delete from crm_salesorder where name = ?", [order])

    def gp_restores(self, order: str) -> None:
        self.gp_drops(order)
        for table, key in (("crm_salesorder", "name"), ("crm_salesorderdetail", "salesorderid")):
            self.gp.execute(f"insert into {table} select * from first_{table} where {key} = ?", [order])

    # ------------------------------------------------ what happens to CRM

    def _in_crm(self, order: str) -> list[dict[str, Any]]:
        return [row for row in self.crm.rows("salesorder") if row["name"] == order]

    def _lines_in_crm(self, order: str) -> list[dict[str, Any]]:
        ids = {row["salesorderid"] for row in self._in_crm(order)}
        return [row for row in self.crm.rows("salesorderdetail") if row["salesorderid"]["id"] in ids]

    def crm_text(self, order: str) -> None:
        for row in self._in_crm(order):
            self.crm.update("salesorder", row["salesorderid"], {"description": "by hand"})

    def crm_renames(self, order: str) -> None:
        for row in self._in_crm(order):
            self.crm.update("salesorder", row["salesorderid"], {"name": f"{order} renamed {self.random.random()}"})

    def crm_deletes(self, order: str) -> None:
        for row in self._in_crm(order):
            self.crm.delete("salesorder", row["salesorderid"])

    def crm_submits(self, order: str) -> None:
        for row in self._in_crm(order):
            self.crm.update("salesorder", row["salesorderid"], {"statecode": 1, "statuscode": 3})

    def crm_closes(self, order: str) -> None:
        for row in self._in_crm(order):
            self.crm.update("salesorder", row["salesorderid"], {"statecode": 2, "statuscode": 4})

    def crm_reopens(self, order: str) -> None:
        for row in self._in_crm(order):
            self.crm.update("salesorder", row["salesorderid"], {"statecode": 0, "statuscode": 1})

    def crm_line_changed(self, order: str) -> None:
        for row in self._lines_in_crm(order)[:1]:
            self.crm.update("salesorderdetail", row["salesorderdetailid"], {"quantity": "77", "shipto_name": None})

    def crm_line_deleted(self, order: str) -> None:
        for row in self._lines_in_crm(order)[-1:]:
            self.crm.delete("salesorderdetail", row["salesorderdetailid"])

    def crm_line_doubled(self, order: str) -> None:
        for row in self._lines_in_crm(order)[:1]:
            copy = {name: value for name, value in row.items() if name not in ("salesorderdetailid", "versionnumber")}
            self.crm.insert("salesorderdetail", {**copy, "#": None} if "#" in copy else copy)

    def crm_owner(self, order: str) -> None:
        for account in self._accounts(order):
            user = self.random.choice(self.crm.rows("systemuser"))
            owner = {"table": "systemuser", "id": user["systemuserid"]}
            self.crm.update("account", account["accountid"], {"ownerid": owner})

    def crm_account_lost(self, order: str) -> None:
        for account in self._accounts(order):
            self.crm.update("account", account["accountid"], {"accountnumber": f"X{account['accountnumber']}"[:20]})

    def crm_account_found(self, order: str) -> None:
        for account in self.crm.rows("account"):
            if (account["accountnumber"] or "").startswith("X"):
                self.crm.update("account", account["accountid"], {"accountnumber": account["accountnumber"][1:]})

    def _accounts(self, order: str) -> list[dict[str, Any]]:
        rows = self.gp.query("select customerid from first_crm_salesorder where name = ?", [order])
        return [row for row in self.crm.rows("account") if row["accountnumber"] == rows[0][0]]

    # ------------------------------------------------ what must be so

    def apart(self) -> dict[str, str]:
        """The staged orders that cannot go, and why; worked out without the loader."""
        headers, lines = self.staged()
        accounts = {row["accountnumber"] for row in self.crm.rows("account")}
        stuck = {line["salesorderid"]: "product_not_found" for line in lines if line["productid"] == UNKNOWN_PRODUCT}
        stuck |= {h["name"]: "account_not_found" for h in headers if h["customerid"] not in accounts}
        closed = {row["name"] for row in self.crm.rows("salesorder") if row["statecode"] in (2, 3, 4)}
        return stuck | {h["name"]: "closed_in_crm" for h in headers if h["name"] in closed}


EDITS = [name for name in vars(World) if name.startswith(("gp_", "crm_"))]
WEIGHTS = [3 if name in ("gp_quantity", "gp_line_added", "gp_restores", "crm_account_found") else 1 for name in EDITS]

FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("throttle", {"retry_after": 1}),
    ("throttle", {"retry_after": None, "kind": "write"}),
    ("unavailable", {}),
    ("unavailable", {"kind": "write", "retry_after": 2}),
    ("reset_before_commit", {}),
    ("reset_before_commit", {"kind": "write"}),
    ("reset_after_commit", {"kind": "write"}),
    ("reset_after_commit", {"kind": "write"}),
    ("deadlock", {"method": "PATCH"}),
    ("deadlock", {"method": "GET"}),
    ("error", {"method": "PATCH", "code": "0x80040265"}),
    ("error", {"method": "POST", "code": "0x80040216", "status": 500}),
    ("expire_token", {}),
]
SLOW = ("delay_after_commit", "delay_before_commit")


def add_fault(world: World) -> None:
    rng = world.random
    name, conditions = rng.choice(FAULTS)
    arguments: dict[str, Any] = {**conditions, "times": rng.choice([1, 1, 2, 5]), "skip": rng.choice([0, 0, 1, 2, 4])}
    if rng.random() < 0.12:
        name = rng.choice(SLOW)
        arguments = {"seconds": TIMEOUT * rng.uniform(1.3, 3), "kind": "write", "skip": rng.choice([0, 0, 1])}
    elif rng.random() < 0.2:
        arguments["order"] = rng.choice(ORDERS)
    if name == "expire_token":
        arguments["times"] = 1
    getattr(world.crm.faults, name)(**arguments)
    world.story.append(f"fault {name} {arguments}")


def live_through(world: World) -> None:
    rng = world.random
    for _ in range(rng.choice([1, 1, 2, 2, 3])):
        for _ in range(rng.choice([0, 1, 2, 4])):
            world.edit(rng.choices(EDITS, WEIGHTS)[0], rng.choice(ORDERS))
        for _ in range(rng.choice([0, 1, 1, 2, 3])):
            add_fault(world)
        if rng.random() < 0.15:
            dies_waiting(world)
        stop = Hasty()
        end = rng.choice([None, None, rng.randint(1, 12), rng.randint(5, 60)])
        stop_at = rng.randint(1, 30) if rng.random() < 0.15 else None
        options: dict[str, Any] = {
            "batch_size": rng.choice([1, 20, 1000, 1000]),
            "concurrency": rng.choice([1, 1, 1, 3]),
            "only": tuple(rng.sample(staged_names(world), 2)) if rng.random() < 0.15 else (),
        }
        world.story.append(f"push {options} end {end} stop {stop_at}")
        report = world.run(Fate(end, stop_at, stop), stop, **options)
        if report is not None:
            world.story.append(f"  {report.records} {report.failure or ''}")
            assert sum(report.records.values()) == report.staged
            assert_journal_adds_up(world.gp)
            if world.crm.in_flight:
                assert_written_for_good(world, report)
        if rng.random() < 0.5:
            world.crm.faults.clear()


def dies_waiting(world: World) -> None:
    """A run's write is held up; the run dies, GP changes, and the next run writes before it is through."""
    rng = world.random
    edits = ["gp_quantity", "gp_quantity", "gp_text", "gp_line_added", "crm_line_changed", "crm_deletes"]
    orders = rng.sample(ORDERS, 2)
    world.crm.faults.clear()
    if rng.random() < 0.7:
        world.run(Fate(), Hasty())
        for order in orders:
            world.edit("gp_quantity", order)
    world.crm.faults.delay_before_commit(TIMEOUT * rng.uniform(3, 5), kind="write")
    world.story.append("push dies waiting")
    world.run(Fate(), Hasty(), dies_waiting=True, batch_size=rng.choice([20, 1000]))
    for order in orders:
        world.edit(rng.choice(edits), order)


def assert_written_for_good(world: World, report: PushReport) -> None:
    """What an earlier run still has under way does not undo what this one has written."""
    written = world.gp.query(
        "select record_key from main_journal.sync_event"
        " where run_id = ? and outcome in ('created', 'updated') and changes <> '[]'",
        [report.run_id],
    )
    world.settled()
    headers, lines = world.staged()
    assert_equal(
        world.crm,
        world.ground.contract,
        headers,
        lines,
        {h["name"] for h in headers} - {str(key) for (key,) in written},
    )


def staged_names(world: World) -> list[str]:
    return [str(name) for (name,) in world.gp.query("select name from crm_salesorder order by name")]


def assert_all_is_well(world: World) -> None:
    world.crm.faults.clear()
    world.settled()
    last = world.run(Fate(), Hasty())
    assert last is not None
    world.story.append(f"last push {last.records}")
    headers, lines = world.staged()
    assert last.staged == len(headers)
    assert last.failure is None
    assert last.records["failed"] == 0
    apart = world.apart()
    held_back = world.gp.query(
        "select record_key, reason from main_journal.sync_event where run_id = ? and outcome in ('blocked', 'skipped')"
        " union select record_key, reason from main_journal.sync_noted where outcome = 'skipped'",
        [last.run_id],
    )
    assert {str(order): str(reason) for order, reason in held_back} == apart
    assert last.records["blocked"] + last.records["skipped"] == len(held_back)
    assert_equal(world.crm, world.ground.contract, headers, lines, set(apart))
    assert_journal_adds_up(world.gp)

    if world.random.random() < 0.4:
        again = world.run(Fate(), Hasty())
        assert again is not None
        assert again.requests["write"] == 0
        assert again.records["unchanged"] == len(headers) - len(apart)
    waiting = {
        str(key) for (key,) in world.gp.query("select record_key from main_journal.retry_queue where state = 'open'")
    }
    assert waiting == {key for key, reason in apart.items() if reason != "closed_in_crm"}
    assert world.atomicity.broken == []
    assert world.crm.crashes == []


def live(ground: Ground, seed: int) -> None:
    ground.reset()
    with Emulator(snapshot=ground.snapshot) as crm:
        world = World(ground, crm, random.Random(seed))
        try:
            live_through(world)
            assert_all_is_well(world)
        except BaseException:
            print(f"Schedule {seed}:", *world.story, sep="\n    ")
            raise
        finally:
            world.crm.faults.clear()


def seeds(group: int) -> list[int]:
    chosen = os.environ.get("SCHEDULE")
    if chosen is not None:
        return [int(chosen)] if group == 0 else []
    return list(range(group, SCHEDULES, GROUPS))


@pytest.mark.parametrize("group", range(GROUPS))
def test_whatever_happens_all_is_as_staged_in_the_end(ground: Ground, group: int) -> None:
    for seed in seeds(group):
        live(ground, seed)
