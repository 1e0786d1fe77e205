"""Runs by change and full ones end the same: CRM and what the journal holds for true, after every step of random edits.

`STEPS=1000 pytest …` goes further, from `FIRST_WORLD=…` on; a failing world tells its number, and `WORLD=1234 pytest …`
runs it alone.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from emulator import Emulator
from loader.context import Context
from loader.contract import Contract
from loader.dataverse.auth import Bearer
from loader.dataverse.pace import Patience
from loader.errors import LoaderError
from loader.profile import read_target
from loader.push.guards import MaxChanges
from loader.push.pushing import push
from loader.push.tally import PushReport
from loader.settings import Settings
from loader.warehouse.connect import connect
from loader.warehouse.connection import Warehouse
from loader.warehouse.journal import Journal
from sample import organisation
from tests.conftest import PROJECT, Built
from tests.promises.conftest import AUDITS, KNOWN, contract_of
from tests.promises.end_state import JOURNAL, differences, go_back, keep, picture
from tests.promises.mortal import Fate, Hasty, Killed, MortalClient, mortal
from tests.promises.random_edits import Edits
from tests.promises.whole_company import staged_few

STEPS = int(os.environ.get("STEPS", "20"))
STEPS_OF_A_WORLD = 10
GROUPS = 2
TIMEOUT = 0.2
"""Seconds after which a disturbed run takes a request for lost."""


@dataclass
class Ground:
    """What all worlds of a company start from."""

    warehouse: Warehouse
    contract: Contract
    settings: Settings
    snapshot: dict[str, Any]

    def reset(self) -> None:
        for (table,) in self.warehouse.query(
            "select table_name from information_schema.tables where table_schema = 'first'"
        ):
            self.warehouse.execute(f"create or replace table main.{table} as from first.{table}")
        for (table,) in self.warehouse.query(
            "select table_name from information_schema.tables where table_schema = ?", [JOURNAL]
        ):
            self.warehouse.execute(f"delete from {JOURNAL}.{table}")


def open_ground(stack: ExitStack, built: Built, path: Path, snapshot: dict[str, Any]) -> Ground:
    """The staged tables of `path` in memory, and once more as they were at first."""
    environ = {**os.environ, "GP_CRM_DUCKDB_PATH": str(path), "CRM_URL": "http://127.0.0.1", "CRM_AUTH": "token"}
    target = read_target(PROJECT, None, "duckdb", environ)
    warehouse = connect(replace(target, path=Path(":memory:")), for_run=True, create=True)
    stack.callback(warehouse.close)
    for sql in (
        "attach ':memory:' as sample",
        f"attach '{path}' as disk (read_only)",
        "use sample",
        "set threads = 1",
        "create schema first",
    ):
        warehouse.execute(sql)
    tables = "select table_name from duckdb_tables() where database_name = 'disk' and schema_name = 'main'"
    for (table,) in warehouse.query(tables):
        warehouse.execute(f"create table main.{table} as from disk.main.{table}")
        warehouse.execute(f"create table first.{table} as from main.{table}")
    contract = contract_of(built.target_path)
    Journal(warehouse, contract.journal).prepare()
    for view in AUDITS:
        sql = "select sql from duckdb_views() where database_name = 'disk' and view_name = ?"
        ((create,),) = warehouse.query(sql, [view])
        warehouse.execute(str(create))
    warehouse.execute("detach disk")
    with Context(PROJECT, environ={**environ, "CRM_ACCESS_TOKEN": "x"}) as context:
        return Ground(warehouse, contract, context.settings, snapshot)


@pytest.fixture(scope="module")
def orders_alone(small: Built) -> Iterator[Ground]:
    with ExitStack() as stack:
        yield open_ground(stack, small, small.path, organisation.snapshot())


@pytest.fixture(scope="module")
def whole(built_whole: Built) -> Iterator[Ground]:
    with ExitStack() as stack:
        yield open_ground(stack, built_whole, staged_few(built_whole), organisation.empty())


@dataclass
class World:
    """A company and its CRM, on which every run is made twice: by change, and in a copy of everything in full."""

    ground: Ground
    crm: Emulator
    random: Random
    story: list[str] = field(default_factory=list)
    steps: int = 0
    by_change: int = 0
    """Steps whose second run went by what CRM told of some table, although it may have compared all for that."""
    counted: bool = False
    """Whether the step's runs count their changes before the first write."""

    def __post_init__(self) -> None:
        journal = Journal(self.ground.warehouse, self.ground.contract.journal)
        self.edits = Edits(self.ground.contract, self.ground.warehouse, self.crm, journal, self.random, self.story)

    def run(self, *, full: bool = False, fate: Fate | None = None, **options: Any) -> PushReport | None:
        """A push; None where it died, or was refused or found CRM out of reach before it began."""
        stop = fate.stop if fate and fate.stop else Hasty()
        settings = self.ground.settings.model_copy(
            update={
                "crm_url": self.crm.url,
                "full_compare": 24,
                "batch_size": options.get("batch_size", 1000),
                "concurrency": options.get("concurrency", 1),
            }
        )
        token = self.crm.token_for(None)
        client = MortalClient(
            self.crm.url,
            Bearer(lambda patience, attempts: (self.crm.token_for(None) if attempts else token, None)),
            timeout=TIMEOUT if fate else 10,
            concurrency=settings.concurrency,
            patience=Patience(stop),
        )
        client.fate, client.dies_waiting = fate or Fate(), bool(options.get("dies_waiting"))
        sources = replace(
            KNOWN,
            target=lambda *_: self._target,
            contract=lambda *_: self.ground.contract,
            settings=lambda *_: settings,
            warehouse=lambda *_: mortal(self.ground.warehouse, client.fate),
            client=lambda *_: client,
            stop=lambda: stop,
        )
        with Context(PROJECT, sources=sources) as context:
            try:
                return push(
                    context,
                    only=options.get("only", ()),
                    tables=options.get("tables", ()),
                    max_changes=MaxChanges(1000) if options.get("counted") else None,
                    allow_empty=True,
                    full=full,
                )
            except LoaderError as error:
                if fate is None:
                    raise
                self.story.append(f"  {error}")
            except Killed:
                self.ground.warehouse.execute(f"update {JOURNAL}.sync_lock set pid = 4194300")
        return None

    @property
    def _target(self) -> Any:
        return read_target(PROJECT, None, "duckdb", {"GP_CRM_DUCKDB_PATH": "sample.duckdb"})

    def settled(self) -> None:
        """Nothing is under way any more."""
        end = time.monotonic() + 10
        while self.crm.in_flight:
            assert time.monotonic() < end
            time.sleep(0.005)

    def step(self, by_change: Callable[[World], PushReport | None]) -> list[str]:
        """Runs in full, then, from where that run began, by change; what is different afterwards."""
        warehouse = self.ground.warehouse
        kept = keep(self.crm, warehouse)
        self.counted = self.random.random() < 0.15
        first = self.run(full=True, counted=self.counted)
        assert first is not None
        in_full = picture(self.crm, warehouse, first.run_id)
        go_back(self.crm, warehouse, kept)
        second = by_change(self)
        assert second is not None
        self.steps += 1
        compared = second.comparison
        self.by_change += compared["kind"] == "changes" or compared["compared"] < second.staged
        self.story.append(f"push {second.records} {second.comparison} {'counted ahead' if self.counted else ''}")
        return differences(in_full, picture(self.crm, warehouse, second.run_id))


def run_by_change(world: World) -> PushReport | None:
    return world.run(counted=world.counted)


FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("throttle", {"retry_after": 1}),
    ("unavailable", {"kind": "write"}),
    ("reset_before_commit", {}),
    ("reset_after_commit", {"kind": "write"}),
    ("deadlock", {"method": "PATCH"}),
    ("error", {"method": "PATCH", "code": "0x80040265"}),
    ("error", {"method": "POST", "code": "0x80040216", "status": 500}),
    ("error", {"method": "GET", "code": "0x80040216", "status": 500}),
    ("expire_token", {}),
]


def disturb(world: World) -> None:
    """A run that does not do all, or does not end as it should."""
    rng = world.random
    for _ in range(rng.choice([0, 1, 2])):
        name, conditions = rng.choice(FAULTS)
        times = 1 if name == "expire_token" else rng.choice([1, 2, 9])
        getattr(world.crm.faults, name)(times, skip=rng.choice([0, 1, 3, 6]), **conditions)
        world.story.append(f"fault {name} {conditions} {times} times")
    stop = Hasty()
    fate = Fate(
        rng.choice([None, rng.randint(1, 30), rng.randint(10, 120)]),
        rng.choice([None, None, rng.randint(1, 30)]),
        stop,
    )
    options: dict[str, Any] = {"batch_size": rng.choice([1, 20, 1000]), "concurrency": rng.choice([1, 1, 3])}
    if rng.random() < 0.3:
        model = rng.choice(world.ground.contract.models)
        rows = world.ground.warehouse.query(f"select {model.key_column} from {model.relation} order by 1")
        if rows:
            options["only"] = tuple(str(key) for (key,) in rng.sample(rows, min(2, len(rows))))
    elif rng.random() < 0.3:
        options["tables"] = (rng.choice(world.edits.tables),)
    if rng.random() < 0.15:
        world.crm.faults.clear()
        world.crm.faults.delay_before_commit(TIMEOUT * 2, kind="write", skip=rng.choice([0, 1]))
        options["dies_waiting"] = True
    if rng.random() < 0.3:
        fate = TwoAtOnce(world, rng.randint(3, 40), rng.random() < 0.7)
    world.story.append(f"disturbed push {options} {type(fate).__name__} end {fate.end} stop {fate.stop_at}")
    report = world.run(fate=fate, **options)
    world.story.append(f"  {report.records if report else 'died'} {(report and report.failure) or ''}")
    world.crm.faults.clear()
    world.settled()


class TwoAtOnce(Fate):
    """At one step another run begins: while this one has the lock, or as if its lease had ended."""

    def __init__(self, world: World, at: int, takes_over: bool) -> None:
        super().__init__(stop=Hasty())
        self._world, self._at, self._takes_over = world, at, takes_over
        self._thread = threading.get_ident()

    def step(self) -> None:
        super().step()
        if self.steps == self._at and not self._is_busy():
            if self._takes_over:
                self._world.ground.warehouse.execute(f"update {JOURNAL}.sync_lock set pid = 4194300")
            other = self._world.run(fate=Fate(stop=Hasty()))
            self._world.story.append(
                f"  another run {'takes over' if self._takes_over else 'tries'}: {other and other.records}"
            )

    def _is_busy(self) -> bool:
        """Within a transaction nobody else comes in; and only the run's own thread can wait for another run."""
        return bool(getattr(self._world.ground.warehouse, "_depth", 0)) or threading.get_ident() != self._thread


def live(ground: Ground, seed: int, by_change: Callable[[World], PushReport | None] = run_by_change) -> World:
    ground.reset()
    with Emulator(snapshot=ground.snapshot) as crm:
        world = World(ground, crm, Random(seed))
        try:
            for number in range(STEPS_OF_A_WORLD):
                for _ in range(world.random.choice([0, 1, 1, 2, 3, 5])):
                    world.edits.edit()
                if number and world.random.random() < 0.3:
                    disturb(world)
                    for _ in range(world.random.choice([0, 0, 1, 2])):
                        world.edits.edit()
                found = world.step(by_change)
                assert found == []
            assert crm.crashes == []
            assert world.by_change or by_change is not run_by_change
        except BaseException:
            print(f"World {seed}:", *world.story, sep="\n    ")
            raise
        return world


def seeds(group: int) -> list[int]:
    chosen = os.environ.get("WORLD")
    if chosen is not None:
        return [int(chosen)] if group == 0 else []
    first = int(os.environ.get("FIRST_WORLD", "0"))
    return [first + number for number in range(group, -(-STEPS // STEPS_OF_A_WORLD // 2), GROUPS)]


@pytest.mark.parametrize("group", range(GROUPS))
def test_orders_end_the_same(orders_alone: Ground, group: int) -> None:
    for seed in seeds(group):
        live(orders_alone, seed)


@pytest.mark.parametrize("group", range(GROUPS))
def test_every_table_ends_the_same(whole: Ground, group: int) -> None:
    for seed in seeds(group):
        live(whole, seed)


def test_a_run_that_leaves_something_out_is_found(orders_alone: Ground) -> None:
    """As one by change would that does not see what happened to the orders whose numbers end in 7."""

    def careless(world: World) -> PushReport | None:
        rows = world.ground.warehouse.query("select name from crm_salesorder order by 1")
        return world.run(only=tuple(str(key) for (key,) in rows if not str(key).endswith("7")))

    with pytest.raises(AssertionError, match="only the first has"):
        live(orders_alone, 1, careless)


def test_a_run_that_is_stopped_anywhere_settles_every_record_it_knows_of(orders_alone: Ground) -> None:
    orders_alone.reset()
    with Emulator(snapshot=orders_alone.snapshot) as crm:
        world = World(orders_alone, crm, Random(1))
        assert world.run() is not None
        staged = len(orders_alone.warehouse.query("select name from crm_salesorder"))
        settled = set()
        for step in range(1, 26, 2):
            orders_alone.warehouse.execute("update crm_salesorderdetail set quantity = quantity + 1")
            report = world.run(fate=Fate(stop_at=step, stop=Hasty()))
            assert report is not None
            assert report.staged == sum(report.records.values())
            assert report.failure is None
            settled.add(report.staged)
        assert settled <= {0, staged}
        assert staged in settled
