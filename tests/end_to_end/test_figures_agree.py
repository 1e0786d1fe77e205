"""Whatever is done, status, probe, report, retry list and audit models say the same, and it is true of CRM.

Random sequences of commands, deaths, stops and changes on both sides, on the real models with a few orders. A failing
sequence tells its number: `SEQUENCE=3 pytest tests/end_to_end/test_figures_agree.py` runs it alone.
"""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from emulator import Emulator
from loader.context import Sources
from loader.dataverse.auth import Bearer
from loader.dataverse.pace import Patience
from loader.errors import LoaderError
from loader.push.pushing import push
from sample import organisation
from tests.conftest import Built, Ended, Workbench
from tests.promises.conftest import CLOSED, IN_CRM, NEW, WITHOUT_PRODUCT, known_contract
from tests.promises.mortal import Fate, Hasty, Killed, MortalClient, mortal
from tests.thorough import THOROUGH

SEQUENCES = 4 if THOROUGH else 1
STEPS = 8
ORDERS = (*NEW[:3], *IN_CRM, CLOSED, WITHOUT_PRODUCT)
WAITING = ("open", "held", "ignored")
OUTCOMES = ("created", "updated", "unchanged", "skipped", "blocked", "failed")


@pytest.fixture(scope="module")
def few(built: Built) -> Iterator[Path]:
    """The company with these orders alone."""
    fast = Path("/dev/shm")
    with TemporaryDirectory(dir=fast if fast.is_dir() else None) as folder:
        path = Path(folder) / "sample.duckdb"
        shutil.copy(built.path, path)
        with Emulator(snapshot=organisation.snapshot()) as crm:
            bench = Workbench(path, built.target_path, crm)
            for table in ("SOP10100", "SOP10200"):
                kept = ", ".join(f"'{order}'" for order in ORDERS)
                bench.execute(f"delete from gp.{table} where trim(SOPNUMBE) not in ({kept})")
        yield path


@dataclass
class World:
    """GP, CRM, the loader between them, and what was done."""

    bench: Workbench
    folder: Path
    random: random.Random
    story: list[str] = field(default_factory=list)
    plans: list[Path] = field(default_factory=list)
    deleted: set[str] = field(default_factory=set)
    """Ids of orders that someone deleted in CRM."""
    is_settled: bool = False
    """The last step was a push of everything that came to its end."""

    # ------------------------------------------------ what the operator does

    def push(self) -> None:
        self._ended(self.bench.loader("push"), 0, 3)
        self.is_settled = True

    def push_one(self) -> None:
        if staged := self._staged():
            self._ended(self.bench.loader("push", "--order", self.random.choice(staged)), 0, 3)

    def plan(self) -> None:
        path = self.folder / f"{len(self.plans)}.plan"
        some = ["--order", self.random.choice(self._staged())] if self.random.random() < 0.3 else []
        self._ended(self.bench.loader("plan", "--out", str(path), *some), 0)
        self.plans.append(path)

    def push_file(self) -> None:
        if not self.plans:
            self.plan()
        self._ended(self.bench.loader("push", str(self.random.choice(self.plans))), 0, 3)

    def stopped(self) -> None:
        self._mortal(stop_at=self.random.randint(1, 25))

    def killed(self) -> None:
        self._mortal(end=self.random.randint(1, 40))

    def undo(self) -> None:
        runs = self.bench.query(
            "select distinct run_id from main_journal.sync_event where outcome in (?, ?)", *OUTCOMES[:2]
        )
        if runs:
            flags = ["--cancel-created"] if self.random.random() < 0.3 else []
            run_id = self.random.choice(sorted(str(run) for (run,) in runs))
            self._ended(self.bench.loader("undo", "--run", run_id, *flags, "--yes"), 0, 3)

    def retry_now(self) -> None:
        self._ended(self.bench.loader("retry", "now"), 0, 3)

    def set_aside(self) -> None:
        name = self.random.choice(["hold", "hold", "ignore", "release", "release"])
        self._ended(self.bench.loader("retry", name, self.random.choice(ORDERS)), 0, 1)

    def _mortal(self, **fate: Any) -> None:
        stop, bench = Hasty(), self.bench
        token = bench.crm.token_for(None)
        client = MortalClient(
            bench.crm.url, Bearer(lambda patience, attempts: (token, None)), timeout=5, patience=Patience(stop)
        )
        client.fate = Fate(stop=stop, **fate)
        warehouse = bench.warehouse()
        sources = replace(
            bench.sources,
            warehouse=lambda *_: mortal(warehouse, client.fate),
            client=lambda *_: client,
            stop=lambda: stop,
        )
        with closing(warehouse), replace(bench, sources=sources).run("push") as run:
            try:
                report = push(run)
                self.story.append(f"  {report.records}, interrupted: {report.interrupted}")
                self.is_settled = not report.interrupted and report.failure is None
            except Killed:
                # Nobody has that process number any more, and the lease is over.
                warehouse.execute(
                    "update main_journal.sync_lock set pid = 4194300, expires_at = timestamp '2020-01-01 00:00:00'"
                )
                self.story.append("  died")
            except LoaderError as error:
                self.story.append(f"  {error}")

    def _ended(self, ended: Ended, *codes: int) -> None:
        self.story.append(f"  exit {ended.exit_code}")
        assert ended.exit_code in codes, ended.stdout + ended.stderr

    def _staged(self) -> list[str]:
        return [str(name) for (name,) in self.bench.query("select name from crm_salesorder order by name")]

    # ------------------------------------------------ what happens meanwhile

    def gp_changes(self) -> None:
        order = self.random.choice(ORDERS)
        self.bench.execute("update gp.SOP10200 set QUANTITY = QUANTITY + 1 where trim(SOPNUMBE) = ?", order)

    def gp_voids(self) -> None:
        order = self.random.choice(ORDERS)
        self.bench.execute("update gp.SOP10100 set VOIDSTTS = 1 - VOIDSTTS where trim(SOPNUMBE) = ?", order)

    def crm_loses_an_account(self) -> None:
        account = self.random.choice(self.bench.crm.rows("account"))
        number = account["accountnumber"] or ""
        renamed = number[1:] if number.startswith("X") else f"X{number}"[:20]
        self.bench.crm.update("account", account["accountid"], {"accountnumber": renamed})

    def crm_deletes(self) -> None:
        rows = [row for row in self.bench.crm.rows("salesorder") if row["name"] in ORDERS]
        if rows:
            row = self.random.choice(rows)
            self.bench.crm.delete("salesorder", row["salesorderid"])
            self.deleted.add(row["salesorderid"])

    def crm_is_in_trouble(self) -> None:
        fault = self.random.choice(["reset_after_commit", "reset_before_commit", "unavailable"])
        getattr(self.bench.crm.faults, fault)(1, kind="write", skip=self.random.randint(0, 2))


WEIGHTS: dict[Callable[[World], None], int] = {
    World.push: 4,
    World.push_one: 1,
    World.plan: 1,
    World.push_file: 3,
    World.stopped: 3,
    World.killed: 3,
    World.undo: 3,
    World.retry_now: 2,
    World.set_aside: 3,
    World.gp_changes: 3,
    World.gp_voids: 1,
    World.crm_loses_an_account: 2,
    World.crm_deletes: 1,
    World.crm_is_in_trouble: 2,
}
EDITS = {World.gp_changes, World.gp_voids, World.crm_loses_an_account, World.crm_deletes, World.crm_is_in_trouble}


# --------------------------------------------------------------------------------------------------- what must be so


def assert_figures_agree(world: World) -> None:
    bench = world.bench
    status = bench.loader("status", "--last", "100").data
    report = bench.loader("report", "--runs", "100").data
    probe = bench.loader("status", "--max-blocked", "0").data
    queue = bench.loader("retry", "list").data["queue"]

    assert_runs_agree(bench, status["runs"], report["runs"])

    states = Counter(entry["state"] for entry in queue)
    assert status["queue"] == {state: states[state] for state in WAITING}
    if report["waiting"] is not None:
        waiting = report["waiting"]
        assert {"open": waiting["records"], "held": waiting["held"], "ignored": waiting["ignored"]} == status["queue"]
        assert sum(row["records"] for row in report["reasons"]) == waiting["records"]
        assert {row["key"]: row["reason"] for row in report["queue"]} == {e["key"]: e["reason"] for e in queue}
    assert probe["waiting"] == states["open"]
    assert probe["well"] or probe["problems"]
    assert states["open"] == 0 or not probe["well"]

    audited = {
        str(row[0]): row[1:]
        for row in bench.query(
            "select order_number, queue_state, reason, attempts, in_crm, crm_id, status from audit_order_status"
        )
    }
    for entry in queue:
        assert audited[entry["key"]][:3] == (entry["state"], entry["reason"], entry["attempts"])
    assert {order for order, row in audited.items() if row[0] in WAITING} == {entry["key"] for entry in queue}
    assert_true_of_crm(world, audited)


def assert_runs_agree(bench: Workbench, told: list[dict[str, Any]], reported: list[dict[str, Any]]) -> None:
    numbers = [*OUTCOMES, "lines_created", "lines_updated", "lines_deleted", "requests_write"]
    columns = ["run_id", "command", "outcome", "staged", *numbers]
    history = bench.query(f"select {', '.join(columns)} from audit_run_history order by run_number")
    by_status = [{**run, **run["counts"]} for run in told]
    assert [tuple(run[column] for column in columns) for run in by_status] == [tuple(row) for row in history]
    assert [[run[column] for column in columns] for run in reported] == [list(row) for row in history]
    events: dict[str, Counter[str]] = {}
    rows = bench.query("select run_id, outcome, count(*) from main_journal.sync_event group by all")
    for run_id, outcome, number in rows:
        events.setdefault(str(run_id), Counter())[str(outcome)] = int(str(number))
    for run in by_status:
        assert run["staged"] == sum(run[outcome] for outcome in OUTCOMES), run
        found = events.get(run["run_id"], Counter())
        for outcome in ("created", "updated", "blocked", "failed"):
            assert found[outcome] == run[outcome], (outcome, run)
        if run["command"] != "undo":  # those that are skipped as before have no event again
            assert found["skipped"] <= run["skipped"], run


def assert_true_of_crm(world: World, audited: dict[str, tuple[Any, ...]]) -> None:
    bench = world.bench
    there = {row["salesorderid"]: row["name"] for row in bench.crm.rows("salesorder")}
    for order, (_, _, _, in_crm, crm_id, _) in audited.items():
        if in_crm and crm_id not in world.deleted:
            assert there[crm_id].upper() == order.upper()
    written = bench.query(
        "select record_key, crm_id from main_journal.sync_event where outcome in ('created', 'updated')"
    )
    for order, crm_id in written:
        assert crm_id in there or crm_id in world.deleted, f"{order} is said to have been written"
    if world.is_settled:
        ((skipped, counted),) = bench.query(
            "select (select count(*) from audit_record_status where is_staged = 1 and last_outcome = 'skipped'),"
            " (select arg_min(skipped, run_number) from audit_run_history)"
        )
        assert skipped == counted
        apart = {
            order for order, row in audited.items() if row[0] in WAITING or row[5] not in ("in_crm", "left_in_crm")
        }
        verified = bench.verify(apart & set(world._staged()))
        assert verified.differences == []


def live(world: World) -> None:
    rng = world.random
    for _ in range(STEPS):
        world.is_settled = False
        for _ in range(rng.choice([0, 1, 2])):
            edit = rng.choices([*EDITS_IN_ORDER], [WEIGHTS[each] for each in EDITS_IN_ORDER])[0]
            world.story.append(edit.__name__)
            edit(world)
        act = rng.choices([*ACTS], [WEIGHTS[each] for each in ACTS])[0]
        world.story.append(act.__name__)
        act(world)
        world.bench.crm.faults.clear()
        assert_figures_agree(world)
    world.story.append("the last push")
    world.push()
    assert_figures_agree(world)


EDITS_IN_ORDER = [each for each in WEIGHTS if each in EDITS]
ACTS = [each for each in WEIGHTS if each not in EDITS]


def sequences() -> list[int]:
    chosen = os.environ.get("SEQUENCE")
    return list(range(SEQUENCES)) if chosen is None else [int(chosen)]


@pytest.mark.parametrize("number", sequences())
def test_whatever_is_done_all_figures_agree(few: Path, built: Built, number: int) -> None:
    with TemporaryDirectory(dir=few.parent) as folder, Emulator(snapshot=organisation.snapshot()) as crm:
        path = Path(folder) / "sample.duckdb"
        shutil.copy(few, path)
        bench = Workbench(path, built.target_path, crm, sources=Sources(contract=known_contract))
        world = World(bench, Path(folder), random.Random(number))
        try:
            live(world)
            if os.environ.get("SEQUENCE"):
                print(f"Sequence {number}:", *world.story, sep="\n    ")
        except BaseException:
            print(f"Sequence {number}:", *world.story, sep="\n    ")
            raise
        finally:
            with suppress(Exception):
                crm.faults.clear()
