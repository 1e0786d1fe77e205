"""The figures as text and as docs/benchmarks.md."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import version
from pathlib import Path

from bench.scenarios import CHANGED, PLAN, UNCHANGED, Compared, Latency, Way

Table = list[tuple[str, ...]]
"""Rows of cells; the first is the head."""
WAREHOUSES = {"duckdb": "DuckDB", "sqlserver": "SQL Server"}
PACKAGES = ("duckdb", "dbt-core", "dbt-duckdb", "requests", "PowerPlatform-Dataverse-Client")


HEAD = """\
<!-- Written by `make bench`. Run it for your machine's figures. -->
# Benchmarks

Measured on {day}: {machine}. Load average when the run began: {load:.1f}.

Orders have five lines. GP is a generated company; CRM is the local one, in a process of its own, so figures
without latency say as much about it as about the loader. Every command is a process, measured from its start to its
end; peak memory is that process's.

## The way of an order
"""

STEPS = f"""
One order in {CHANGED} is changed: its first line's quantity, and the totals that follow from it. Reads and writes are
HTTP requests, operations those inside of the writes. `dbt build` runs models, seeds and data tests."""

LATENCY = """
## Latency

A first push while CRM takes its time over every request, and over every operation in it. Ideal is operations × service
time ÷ requests at once; the seconds are those of the whole command, its start and its reading included.
"""

BESIDE = """
## Beside Microsoft's client

`PowerPlatform-Dataverse-Client` creating the same orders with the same lines over the same TLS, in an organisation
without SOP mode. Both are processes, measured from start to end. The client's script is given ready JSON; the loader
reads the warehouse, compares with CRM, looks up, sets states, shares and journals, too.

- Row by row: an upsert for each order and a create for each line.
- An order a request: a create with the lines inside.
- Bulk: UpsertMultiple and CreateMultiple, 1,000 records each. Orders and lines then are transactions apart: an order
  can land without its lines. The loader's cannot.
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
    rows: Table = [("orders", "in", "step", "seconds", "orders a second", "peak MB", "reads", "writes", "operations")]
    for way in ways:
        head = (f"{way.orders:,}", WAREHOUSES[way.target])
        rows.append((*head, "dbt build", f"{way.build.seconds:.1f}", "", f"{way.build.peak:.0f}", "", "", ""))
        for step in way.steps:
            traffic = step.traffic
            rows.append(
                (
                    *head,
                    step.name + (f" (median of {step.repeated})" if step.repeated > 1 else ""),
                    f"{step.seconds:.1f}",
                    f"{way.orders / step.seconds:,.0f}",
                    f"{step.peak:.0f}",
                    str(traffic.reads),
                    str(traffic.writes),
                    f"{traffic.operations:,}" if traffic.operations else "0",
                )
            )
    return rows


def latency_table(latencies: Sequence[Latency]) -> Table:
    rows: Table = [
        ("orders", "latency", "service time", "at once", "operations", "ideal s", "seconds", "ratio", "writes")
    ]
    for each in latencies:
        rows.append(
            (
                f"{each.orders:,}",
                f"{each.latency * 1000:.0f} ms",
                f"{each.service * 1000:.0f} ms",
                str(each.concurrency),
                f"{each.traffic.operations:,}",
                f"{each.ideal:.1f}",
                f"{each.seconds:.1f}",
                f"{each.ratio:.2f}",
                str(each.traffic.writes),
            )
        )
    return rows


def compared_table(compared: Sequence[Compared]) -> Table:
    rows: Table = [("orders", "latency", "client", "orders a second", "HTTP requests", "loader is faster by")]
    for each in compared:
        head = (f"{each.orders:,}", f"{each.latency * 1000:.0f} ms")
        rows.append((*head, "loader push", f"{each.loader:,.1f}", f"{each.requests['loader']:,}", ""))
        for way, rate in each.sdk.items():
            ratio = f"{each.loader / rate:.1f}×"
            rows.append((*head, f"Microsoft's, {way}", f"{rate:,.1f}", f"{each.requests[way]:,}", ratio))
    return rows


def aims_table(figures: Figures) -> Table:
    rows: Table = [("aim", "measured", "met")]

    def add(aim: str, measured: str, is_met: bool) -> None:
        rows.append((aim, measured, "yes" if is_met else "no"))

    add("`loader --help` below 0.3 s", f"{figures.help_seconds:.2f} s", figures.help_seconds < 0.3)
    for way in figures.ways:
        orders = f"{way.orders:,} orders in {WAREHOUSES[way.target]}"
        plan, same = way.step(PLAN), way.step(UNCHANGED)
        reads = same.traffic.reads - way.orders / 500
        add(f"{orders} unchanged: no write", f"{same.traffic.writes} writes", same.traffic.writes == 0)
        add(
            f"{orders}: reads at most orders ÷ 500 + a constant",
            f"orders ÷ 500 + {reads:.0f}",
            reads <= 10,
        )
        if way.orders >= 100_000 and way.target == "duckdb":
            add(f"plan of {way.orders:,} orders within 30 s", f"{plan.seconds:.1f} s", plan.seconds <= 30)
            add(f"plan of {way.orders:,} orders within 1 GB", f"{plan.peak:,.0f} MB", plan.peak <= 1000)
    for each in figures.latencies:
        aim = (
            f"{each.orders:,} orders, {each.concurrency} at once: within 1.25 × operations × service time ÷ concurrency"
        )
        add(aim, f"{each.ratio:.2f} ×", each.ratio <= 1.25)
    for pair in figures.compared:
        about = f"{pair.orders:,} orders, {pair.latency * 1000:.0f} ms"
        slow, bulk = pair.loader / pair.sdk["row by row"], pair.loader / pair.sdk["bulk"]
        add(f"{about}: 5 × Microsoft's client row by row", f"{slow:.1f} ×", slow >= 5)
        add(f"{about}: level with its bulk operations", f"{bulk:.1f} ×", bulk >= 1)
    return rows


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
