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
ROW_BY_ROW = 200
"""Orders that Microsoft's client writes row by row; the others would take in proportion."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Step:
    """One command: median of its repetitions, with what it asked of CRM."""

    name: str
    seconds: float
    peak: float
    traffic: Traffic
    repeated: int = 1


@dataclass(frozen=True)
class Way:
    """A company's orders on their way to CRM."""

    orders: int
    target: str
    build: Ran
    steps: list[Step]

    def step(self, name: str) -> Step:
        return next(step for step in self.steps if step.name == name)


PLAN, FIRST, UNCHANGED, SOME = "plan, CRM empty", "first push", "push, nothing changed", "push, 1 % changed"


def way_to_crm(company: Company, repeat: int, say: Say) -> Way:
    """dbt build, a plan against an empty CRM, the first push, one with nothing and one with 1 % changed."""
    say(f"{company.orders:,} orders: generating and building")
    company.generate()
    build = company.build()
    steps: list[Step] = []
    with CrmProcess(company.organisation()) as crm:

        def measure(name: str, told: str, *arguments: str, times: int = 1) -> None:
            say(f"{company.orders:,} orders: {name}")
            runs = []
            for _ in range(times):
                crm.forget_traffic()
                runs.append(loader(company, crm, *arguments))
                if told not in runs[-1].output:
                    raise AssertionError(f"{name} should say {told!r}:\n{runs[-1].output}")
            seconds, peak = median(each.seconds for each in runs), max(each.peak for each in runs)
            steps.append(Step(name, seconds, peak, crm.traffic(), times))

        orders, changed = company.orders, company.orders // CHANGED
        measure(PLAN, f"Plan: {orders} to create", "plan", times=repeat)
        measure(FIRST, f"Orders: {orders} created", "push")
        measure(UNCHANGED, f"{orders} unchanged", "push", times=repeat)
        company.change(every=CHANGED)
        measure(SOME, f"{changed} updated, {orders - changed} unchanged", "push")
    return Way(company.orders, company.target, build, steps)


@dataclass(frozen=True)
class Latency:
    """A first push while every request takes `latency` seconds and each of its operations `service` seconds more."""

    orders: int
    latency: float
    service: float
    concurrency: int
    seconds: float
    traffic: Traffic

    @property
    def ideal(self) -> float:
        """Operations × service time ÷ concurrency."""
        return self.traffic.operations * self.service / self.concurrency

    @property
    def ratio(self) -> float:
        return self.seconds / self.ideal


def under_latency(company: Company, latency: float, service: float, concurrency: int, say: Say) -> Latency:
    """`company` is staged already."""
    company.forget_pushes()
    say(f"{company.orders:,} orders: first push, {latency * 1000:.0f} ms latency, {concurrency} at once")
    with CrmProcess(company.organisation()) as crm:
        crm.latency(latency, service)
        done = loader(company, crm, "push", CRM_CONCURRENCY=str(concurrency))
        return Latency(company.orders, latency, service, concurrency, done.seconds, crm.traffic())


@dataclass(frozen=True)
class Compared:
    """Orders a second: the loader's, and Microsoft's client's in each of its ways."""

    orders: int
    latency: float
    loader: float
    sdk: Mapping[str, float] = field(default_factory=dict)
    requests: Mapping[str, int] = field(default_factory=dict)


def beside_the_sdk(company: Company, latency: float, row_by_row: int, say: Say) -> Compared:
    """Creating the same orders in the same organisation: SOP mode off, so that lines can be added one by one."""
    company.forget_pushes()
    tls = certificates.make(company.folder)
    organisation = company.organisation(sop_mode=False)
    bodies = company.folder / "bodies.json"
    requests: dict[str, int] = {}
    with CrmProcess(organisation, tls) as crm:
        write_bodies({**company.environ, **crm.environ}, bodies, company.orders)
        crm.latency(latency)
        crm.forget_traffic()
        say(f"{company.orders:,} orders, {latency * 1000:.0f} ms latency: the loader, over TLS")
        own = company.orders / loader(company, crm, "push").seconds
        requests["loader"] = crm.traffic().reads + crm.traffic().writes
    rates: dict[str, float] = {}
    for way, first in (
        ("bulk", company.orders),
        ("an order a request", row_by_row),
        ("row by row", row_by_row),
    ):
        with CrmProcess(organisation, tls) as crm:
            crm.latency(latency)
            say(f"{first:,} orders, {latency * 1000:.0f} ms latency: Microsoft's client, {way}")
            rates[way] = company.orders / sdk(way, bodies, first, company.orders, crm)
            requests[way] = ceil((crm.traffic().reads + crm.traffic().writes) * company.orders / first)
    return Compared(company.orders, latency, own, rates, requests)


def loader(company: Company, crm: CrmProcess, *arguments: str, **environ: str) -> Ran:
    """One command of the loader, from the interpreter's start to its end."""
    return run([sys.executable, "-m", "loader", "--quiet", *arguments], {**company.environ, **crm.environ, **environ})


def sdk(way: str, bodies: Path, first: int, orders: int, crm: CrmProcess) -> float:
    """Seconds that a script with Microsoft's client takes for all orders, worked out from the `first` ones."""
    assert crm.certificates is not None
    environ = {**crm.environ, "REQUESTS_CA_BUNDLE": str(crm.certificates.authority)}
    done = run([sys.executable, "-m", "bench.sdk", way, str(bodies), "--first", str(first)], environ)
    writing = float(json.loads(done.output.strip().splitlines()[-1])["seconds"])
    return done.seconds - writing + writing * orders / first


def help_time(repeat: int) -> float:
    """Seconds of `loader --help`."""
    return median(run([sys.executable, "-m", "loader", "--help"], {}).seconds for _ in range(repeat))
