"""The figures as text and as docs/benchmarks.md."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import version
from pathlib import Path

from bench.scenarios import (
    BUILD,
    BULK,
    CHANGED,
    FIRST,
    FULL,
    NEAR,
    PLAN,
    ROWS,
    SOME,
    UNCHANGED,
    Client,
    Compared,
    Latency,
    Step,
    Way,
)

Table = list[tuple[str, ...]]
"""Rows of cells; the first is the head."""
WAREHOUSES = {"duckdb": "DuckDB", "sqlserver": "SQL Server"}
PACKAGES = ("duckdb", "dbt-core", "dbt-duckdb", "requests", "PowerPlatform-Dataverse-Client")


WINDOW, REQUESTS, EXECUTION, AT_ONCE = 300, 6_000, 1_200, 52
"""Dataverse's limits for a caller: requests and seconds of execution in so many seconds, and requests at once."""
EVERY = 60
"""Seconds from one push to the next in a schedule of every minute."""
A_REQUEST, A_ROW = 0.2, 0.03
"""Seconds of execution that a request, and an operation in it, are reckoned to take."""
MOST_FOR_HISTORY = 1.1


HEAD = """\
<!-- Written by `make bench`. Run it for your machine's figures. -->
# Benchmarks

Measured on {day}: {machine}. Load average when the run began: {load:.1f}.

Orders have five lines; no other table is switched on. GP is a generated company; CRM is the local one, in a process of
its own, so figures without latency say as much about it as about the loader. Every command is a process, measured from
its start to its end; its CPU seconds and its peak memory are that process's, without CRM's.

## The way of an order
"""

STEPS = f"""
One order in {CHANGED} is changed: its first line's quantity, and the totals that follow from it. Reads and writes are
HTTP requests, operations those inside of the writes. `dbt build` runs models, seeds and data tests. A push after a
full one reads only what changed; its own writes are read once more by the push after it. Documents of history are
orders and invoices that are done."""

LATENCY = """
## Latency

A first push while CRM takes its time over every request, and over every row that it writes. Ideal is rows × service
time ÷ requests at once; the seconds are those of the whole command, its start and its reading included.
"""

BESIDE = """
## Beside Microsoft's client

`PowerPlatform-Dataverse-Client` creating the same orders with the same lines over the same TLS, in an organisation
without SOP mode. Both are processes, measured from start to end. The client's script is given ready JSON; the loader
reads the warehouse, compares with CRM, looks up, sets states, shares and journals, too. CPU is what the process itself
uses for an order: all of the loader's, the start included, and the client's while it writes.

- Row by row: an upsert for each order and a create for each line.
- An order a request: a create with the lines inside.
- Bulk: UpsertMultiple and CreateMultiple, 1,000 records each. Orders and lines then are transactions apart: an order
  can land without its lines. The loader's cannot.
"""

LIMITS = f"""
## The service's limits

Dataverse allows a caller {REQUESTS:,} requests and {EXECUTION:,} seconds of execution in {WINDOW} seconds, and
{AT_ONCE} requests at once. Counted here are the pushes of a schedule of every minute, {WINDOW // EVERY} in that time,
as measured above. A request is reckoned to take {A_REQUEST * 1000:.0f} ms of execution, and each operation of one that
writes {A_ROW * 1000:.0f} ms more. A run has at most `CRM_CONCURRENCY` requests under way, which is at most {AT_ONCE}; a
schedule waits for a run that is not through. A first push of a large company does reach the limits; it waits as long as
the service's `Retry-After` says.
"""

AIMS = """
## Aims
"""


@dataclass
class Figures:
    """All that one run measured."""

    help_seconds: float
    ways: list[Way] = field(default_factory=list)
    latencies: list[Latency] = field(default_factory=list)
    compared: list[Compared] = field(default_factory=list)
    load: float = 0.0
    """Load average of the machine when the run began: what else it was busy with."""


def ways_table(ways: Sequence[Way]) -> Table:
    head = ("orders", "history", "in", "step", "seconds", "CPU s", "orders a second", "peak MB")
    rows: Table = [(*head, "reads", "writes", "operations")]
    for way in ways:
        about = (f"{way.orders:,}", f"{way.history:,}", WAREHOUSES[way.target])
        for step in way.steps:
            traffic, is_build = step.traffic, step.name == BUILD
            rows.append(
                (
                    *about,
                    step.name,
                    f"{step.seconds:.1f}",
                    f"{step.cpu:.1f}",
                    "" if is_build else f"{way.orders / step.seconds:,.0f}",
                    f"{step.peak:.0f}",
                    "" if is_build else str(traffic.reads),
                    "" if is_build else str(traffic.writes),
                    "" if is_build else f"{traffic.operations:,}",
                )
            )
    return rows


def latency_table(latencies: Sequence[Latency]) -> Table:
    head = ("orders", "latency", "service time", "at once")
    rows: Table = [(*head, "rows", "ideal s", "seconds", "ratio", "writes")]
    for each in latencies:
        rows.append(
            (
                f"{each.orders:,}",
                f"{each.latency * 1000:.0f} ms",
                f"{each.service * 1000:.0f} ms",
                str(each.concurrency),
                f"{each.traffic.rows:,}",
                f"{each.ideal:.1f}",
                f"{each.seconds:.1f}",
                f"{each.ratio:.2f}",
                str(each.traffic.writes),
            )
        )
    return rows


def compared_table(compared: Sequence[Compared]) -> Table:
    head = ("orders", "latency", "service time", "client", "orders a second", "CPU ms an order", "HTTP requests")
    rows: Table = [(*head, "loader is faster by")]

    def add(pair: Compared, client: Client, ratio: str = "") -> None:
        about = (f"{pair.orders:,}", f"{pair.latency * 1000:.0f} ms", f"{pair.service * 1000:.0f} ms")
        speed = f"{pair.orders / client.seconds:,.1f}"
        rows.append((*about, client.name, speed, f"{client.cpu:.2f}", f"{client.requests:,}", ratio))

    for each in compared:
        add(each, each.loader)
        for way, client in each.sdk.items():
            add(each, client, f"{each.faster(way):.1f}×")
    return rows


def limits_table(figures: Figures) -> Table:
    rows: Table = [("open orders", "each minute", f"requests in {WINDOW} s", f"execution in {WINDOW} s")]
    for way in figures.ways:
        for step in filter(None, (way.step(UNCHANGED), way.step(SOME))):
            if not way.history and way.target == "duckdb":
                requests, seconds = _in_a_window(step)
                rows.append((f"{way.orders:,}", step.name, f"{requests:,}", f"{seconds:,.0f} s"))
    return rows


def _in_a_window(step: Step) -> tuple[int, float]:
    """Requests and seconds of execution of a schedule of every minute."""
    runs, traffic = WINDOW // EVERY, step.traffic
    requests = traffic.reads + traffic.writes
    return runs * requests, runs * (requests * A_REQUEST + traffic.operations * A_ROW)


def aims_table(figures: Figures) -> Table:
    rows: Table = [("aim", "measured", "met")]

    def add(aim: str, measured: str, is_met: bool) -> None:
        rows.append((aim, measured, "yes" if is_met else "no"))

    for way in figures.ways:
        if not way.history:
            for aim in _aims_of(way):
                add(*aim)
    for way in figures.ways:
        alone = next(each for each in figures.ways if (each.orders, each.target) == (way.orders, way.target))
        for aim in _aims_beside_history(way, alone) if way.history else ():
            add(*aim)
    for late in figures.latencies:
        about = f"{late.orders:,} orders, {late.latency * 1000:.0f} ms and {late.service * 1000:.0f} ms, "
        aim_of_it = f"{late.concurrency} at once: within 1.25 × rows × service time ÷ requests at once"
        add(about + aim_of_it, f"{late.ratio:.2f} ×", late.ratio <= 1.25)
    for pair in figures.compared:
        for aim in _aims_beside_the_sdk(pair):
            add(*aim)
    add("`loader --help` below 0.3 s", f"{figures.help_seconds:.2f} s", figures.help_seconds < 0.3)
    return rows


Aim = tuple[str, str, bool]


def _aims_of(way: Way) -> Iterator[Aim]:
    orders = f"{way.orders:,} orders in {WAREHOUSES[way.target]}"
    is_large = way.orders >= 100_000 and way.target == "duckdb"
    plan, first, full, same, some = (way.step(each) for each in (PLAN, FIRST, FULL, UNCHANGED, SOME))
    if same:
        requests = same.traffic.reads + same.traffic.writes
        yield f"{orders}, nothing changed: no write", f"{same.traffic.writes}", same.traffic.writes == 0
        yield f"{orders}, nothing changed: at most 10 requests", f"{requests}", requests <= 10
    if same and is_large:
        yield f"{orders}, nothing changed: at most 15 s", f"{same.seconds:.1f} s", same.seconds <= 15
        yield f"{orders}, nothing changed: at most 500 MB", f"{same.peak:,.0f} MB", same.peak <= 500
    if some:
        most = way.orders / CHANGED / 500 + 10
        aim = f"{orders}, 1 % changed: at most changed ÷ 500 + 10 = {most:.0f} reads"
        yield aim, f"{some.traffic.reads}", some.traffic.reads <= most
    if full:
        yield f"{orders}, push --full, nothing changed: no write", f"{full.traffic.writes}", full.traffic.writes == 0
    if plan and is_large:
        yield f"plan of {orders} within 30 s", f"{plan.seconds:.1f} s", plan.seconds <= 30
        yield f"plan of {orders} within 1 GB", f"{plan.peak:,.0f} MB", plan.peak <= 1000
    if first and is_large:
        cpu = 1000 * first.cpu / way.orders
        yield f"first push of {orders}: at most 1.5 GB", f"{first.peak:,.0f} MB", first.peak <= 1500
        yield f"first push of {orders}: at most 1.3 ms of CPU for each", f"{cpu:.2f} ms", cpu <= 1.3
    if way.target == "duckdb":
        for step in filter(None, (same, some)):
            requests, seconds = _in_a_window(step)
            aim = f"{orders}, {step.name} every minute: below the service's limits"
            yield aim, f"{requests:,} requests, {seconds:,.0f} s", requests < REQUESTS and seconds < EXECUTION


def _aims_beside_history(way: Way, alone: Way) -> Iterator[Aim]:
    for step in way.steps:
        before = alone.step(step.name)
        if before:
            ratio = step.seconds / before.seconds
            aim = f"{way.orders:,} orders, {step.name}: {way.history:,} documents of history add at most 10 %"
            yield aim, f"{100 * (ratio - 1):+.0f} %", ratio <= MOST_FOR_HISTORY


def _aims_beside_the_sdk(pair: Compared) -> Iterator[Aim]:
    about = f"{pair.orders:,} orders, {pair.latency * 1000:.0f} ms and {pair.service * 1000:.0f} ms"
    bulk, slow = (pair.faster(way) for way in (BULK, ROWS))
    if (pair.latency, pair.service) == NEAR:
        yield f"{about}: 3 × Microsoft's client's bulk operations", f"{bulk:.1f} ×", bulk >= 3
        yield f"{about}: 50 × the client, row by row", f"{slow:.1f} ×", slow >= 50
    elif not pair.latency:
        yield f"{about}: level with Microsoft's client's bulk operations", f"{bulk:.1f} ×", bulk >= 1
        yield f"{about}: 5 × the client, row by row", f"{slow:.1f} ×", slow >= 5


def page(figures: Figures) -> str:
    return "\n".join(_page(figures)) + "\n"


def _page(figures: Figures) -> Iterator[str]:
    yield HEAD.format(day=date.today(), machine=machine(), load=figures.load)
    yield from markdown(ways_table(figures.ways))
    yield STEPS
    if figures.latencies:
        yield LATENCY
        yield from markdown(latency_table(figures.latencies))
    if figures.compared:
        yield BESIDE
        yield from markdown(compared_table(figures.compared))
    yield LIMITS
    yield from markdown(limits_table(figures))
    yield AIMS
    yield from markdown(aims_table(figures))


def machine() -> str:
    """Processor, cores, memory, versions."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    parts = [f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GB", f"{platform.system()} {platform.release()}"]
    parts += [f"Python {platform.python_version()}", *(f"{package} {version(package)}" for package in PACKAGES)]
    return "; ".join(parts)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def markdown(table: Table) -> Iterator[str]:
    head, *rows = table
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
