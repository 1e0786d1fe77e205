"""What is measured: a company's way from GP to CRM, what latency does to it, and Microsoft's client beside it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from statistics import median

from bench.bodies import write_bodies
from bench.company import Company
from bench.crm import CrmProcess, Traffic
from bench.process import Ran, run
from emulator import certificates

CHANGED = 100
"""One order in so many is changed."""
ONE_BY_ONE = 200
"""Orders that Microsoft's client writes one by one; the others would take in proportion."""
FIRST_WITH_HISTORY = 20_000
"""Orders of the largest company whose first push is measured beside a long history as well."""

NONE, NEAR, FAR = (0.0, 0.0), (0.05, 0.001), (0.2, 0.03)
"""Seconds that each request takes, and each row that it writes."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Step:
    """One command: median of its repetitions, with what it asked of CRM."""

    name: str
    seconds: float
    cpu: float
    peak: float
    traffic: Traffic = field(default_factory=lambda: Traffic(0, 0, 0))


@dataclass(frozen=True)
class Way:
    """A company's orders on their way to CRM, beside so many documents of history."""

    orders: int
    history: int
    target: str
    steps: list[Step]

    def step(self, name: str) -> Step | None:
        return next((step for step in self.steps if step.name == name), None)


BUILD, PLAN, FIRST = "dbt build", "plan, CRM empty", "first push"
FULL, UNCHANGED, SOME = "push --full, nothing changed", "push, nothing changed", "push, 1 % changed"


@dataclass
class _Measured:
    """Measures commands of a company and a CRM."""

    company: Company
    history: int
    say: Say
    steps: list[Step] = field(default_factory=list)

    def build(self) -> None:
        self._say(BUILD)
        built = self.company.build(is_first=not self.history)
        self.steps.append(Step(BUILD, built.seconds, built.cpu, built.peak))

    def loader(self, crm: CrmProcess, name: str, told: str, *arguments: str, times: int = 1) -> None:
        self._say(name)
        runs = []
        for _ in range(times):
            crm.forget_traffic()
            runs.append(loader(self.company, crm, *arguments))
            if told not in runs[-1].output:
                raise AssertionError(f"{name} should say {told!r}:\n{runs[-1].output}")
        seconds, cpu = median(each.seconds for each in runs), median(each.cpu for each in runs)
        self.steps.append(Step(name, seconds, cpu, max(each.peak for each in runs), crm.traffic()))

    def plan(self, crm: CrmProcess, times: int) -> None:
        self.loader(crm, PLAN, f"Plan: {self.company.orders} to create", "plan", times=times)

    def first(self, crm: CrmProcess) -> None:
        self.loader(crm, FIRST, f"Orders: {self.company.orders} created", "push")

    def unchanged(self, crm: CrmProcess, times: int) -> None:
        self.loader(crm, UNCHANGED, f"{self.company.orders} unchanged", "push", times=times)

    def some(self, crm: CrmProcess) -> None:
        changed = self.company.orders // CHANGED
        self.company.change(every=CHANGED)
        self.loader(crm, SOME, f"{changed} updated, {self.company.orders - changed} unchanged", "push")

    def way(self) -> Way:
        return Way(self.company.orders, self.history, self.company.target, self.steps)

    def _say(self, what: str) -> None:
        beside = f" beside {self.history:,} documents of history" if self.history else ""
        self.say(f"{self.company.orders:,} orders{beside}: {what}")


def ways_to_crm(company: Company, repeat: int, history: int, say: Say) -> list[Way]:
    """dbt build, a plan against an empty CRM, the first push, then pushes in full and by change.

    With `history`, so many documents are added after that, and it is measured what that costs.
    """
    say(f"{company.orders:,} orders: generating")
    company.generate()
    alone = _Measured(company, 0, say)
    alone.build()
    organisation = company.organisation()
    with CrmProcess(organisation) as crm:
        alone.plan(crm, repeat)
        alone.first(crm)
        alone.loader(crm, FULL, f"{company.orders} unchanged", "push", "--full")
        alone.unchanged(crm, repeat)
        alone.some(crm)
        if not history:
            return [alone.way()]
        beside = _Measured(company, history, say)
        say(f"{company.orders:,} orders: generating {history:,} documents of history")
        company.add_history(history)
        beside.build()
        beside.loader(crm, FULL, f"{company.orders} unchanged", "push", "--full")
        beside.unchanged(crm, repeat)
        beside.some(crm)
    company.forget_journal()
    with CrmProcess(organisation) as crm:
        beside.plan(crm, repeat)
        if company.orders <= FIRST_WITH_HISTORY:
            beside.first(crm)
    return [alone.way(), beside.way()]


@dataclass(frozen=True)
class Latency:
    """A first push while every request takes `latency` seconds and each row that it writes `service` seconds more."""

    orders: int
    latency: float
    service: float
    concurrency: int
    seconds: float
    traffic: Traffic

    @property
    def ideal(self) -> float:
        """Rows × service time ÷ concurrency."""
        return self.traffic.rows * self.service / self.concurrency

    @property
    def ratio(self) -> float:
        return self.seconds / self.ideal


def under_latency(company: Company, latency: float, service: float, concurrency: int, say: Say) -> Latency:
    """`company` is staged already."""
    company.forget_pushes()
    say(f"{company.orders:,} orders: first push, {_told(latency, service)}, {concurrency} at once")
    with CrmProcess(company.organisation()) as crm:
        crm.latency(latency, service)
        done = loader(company, crm, "push", CRM_CONCURRENCY=str(concurrency))
        return Latency(company.orders, latency, service, concurrency, done.seconds, crm.traffic())


@dataclass(frozen=True)
class Client:
    """What creating all orders took: seconds, its own processor's milliseconds for each order, HTTP requests."""

    name: str
    seconds: float
    cpu: float
    requests: int


@dataclass(frozen=True)
class Compared:
    """The loader, and Microsoft's client in each of its ways, creating the same orders."""

    orders: int
    latency: float
    service: float
    loader: Client
    sdk: Mapping[str, Client] = field(default_factory=dict)

    def faster(self, way: str) -> float:
        """How many times the loader is as fast."""
        return self.sdk[way].seconds / self.loader.seconds


BULK, DEEP, ROWS = "bulk", "an order a request", "row by row"


def beside_the_sdk(company: Company, latency: float, service: float, say: Say) -> Compared:
    """Creating the same orders in the same organisation: SOP mode off, so that lines can be added one by one."""
    company.forget_pushes()
    tls = certificates.make(company.folder)
    organisation = company.organisation(sop_mode=False)
    bodies = company.folder / "bodies.json"
    one_by_one = min(company.orders, ONE_BY_ONE // (10 if latency else 1))
    about = _told(latency, service)
    with CrmProcess(organisation, tls) as crm:
        write_bodies({**company.environ, **crm.environ}, bodies, company.orders)
        crm.latency(latency, service)
        crm.forget_traffic()
        say(f"{company.orders:,} orders, {about}: the loader, over TLS")
        done = loader(company, crm, "push")
        own = Client("loader push", done.seconds, 1000 * done.cpu / company.orders, _all(crm.traffic()))
    clients: dict[str, Client] = {}
    for way, first in ((BULK, company.orders), (DEEP, one_by_one), (ROWS, one_by_one)):
        with CrmProcess(organisation, tls) as crm:
            crm.latency(latency, service)
            say(f"{first:,} orders, {about}: Microsoft's client, {way}")
            clients[way] = _sdk(way, bodies, first, company.orders, crm)
    return Compared(company.orders, latency, service, own, clients)


def _told(latency: float, service: float) -> str:
    return f"{latency * 1000:.0f} ms a request and {service * 1000:.0f} ms a row" if latency else "no latency"


def loader(company: Company, crm: CrmProcess, *arguments: str, **environ: str) -> Ran:
    """One command of the loader, from the interpreter's start to its end."""
    environ = {**company.environ, **crm.environ, "CRM_FULL_COMPARE": "daily", **environ}
    return run([sys.executable, "-m", "loader", "--quiet", *arguments], environ)


def _sdk(way: str, bodies: Path, first: int, orders: int, crm: CrmProcess) -> Client:
    """What a script with Microsoft's client takes for all orders, worked out from the `first` ones."""
    assert crm.certificates is not None
    environ = {**crm.environ, "REQUESTS_CA_BUNDLE": str(crm.certificates.authority)}
    done = run([sys.executable, "-m", "bench.sdk", way, str(bodies), "--first", str(first)], environ)
    writing = json.loads(done.output.strip().splitlines()[-1])
    seconds = done.seconds - writing["seconds"] + writing["seconds"] * orders / first
    requests = ceil(_all(crm.traffic()) * orders / first)
    return Client(f"Microsoft's, {way}", seconds, 1000 * writing["cpu"] / first, requests)


def _all(traffic: Traffic) -> int:
    return traffic.reads + traffic.writes


def help_time(repeat: int) -> float:
    """Seconds of `loader --help`."""
    return median(run([sys.executable, "-m", "loader", "--help"], {}).seconds for _ in range(repeat))
