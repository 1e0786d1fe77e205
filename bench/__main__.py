"""`make bench`: measures the way of generated orders from GP to CRM, prints the figures and writes them down.

python -m bench                                       1,000, 10,000 and 100,000 orders in DuckDB
python -m bench --sqlserver 1000 10000                so many in the SQL Server of the settings too
python -m bench --latency                             without the parts that wait for CRM
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import click

from bench import report, scenarios
from bench.company import Company
from bench.process import PROJECT
from loader.report.text import table

MOST_COMPARED = 20_000
"""Orders of the largest company that Microsoft's client gets."""


def main(arguments: Sequence[str]) -> None:
    options = _parser().parse_args(arguments)
    began = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {what}", file=sys.stderr, flush=True)

    figures = report.Figures(scenarios.help_time(5), load=os.getloadavg()[0])
    with tempfile.TemporaryDirectory(prefix="bench_") as folder:
        companies = [Company(Path(folder) / str(orders), orders) for orders in options.orders]
        for company in companies:
            repeat = 1 if company.orders > 20_000 else options.repeat
            figures.ways.append(scenarios.way_to_crm(company, repeat, say))
        for orders in options.sqlserver:
            company = Company(Path(folder) / f"sqlserver_{orders}", orders, "sqlserver")
            figures.ways.append(scenarios.way_to_crm(company, 1, say))
        some = [company for company in companies if company.orders <= MOST_COMPARED] or companies[:1]
        for latency in filter(None, options.latency):
            for concurrency in options.concurrency:
                figures.latencies.append(scenarios.under_latency(some[0], latency, options.service, concurrency, say))
        for latency in options.latency:
            for company in some if not latency else some[-1:]:
                row_by_row = min(company.orders, scenarios.ROW_BY_ROW // (10 if latency else 1))
                figures.compared.append(scenarios.beside_the_sdk(company, latency, row_by_row, say))
    _show(figures)
    if options.out:
        options.out.write_text(report.page(figures), encoding="utf-8")
        say(f"written to {options.out}")


def _show(figures: report.Figures) -> None:
    print(report.machine())
    for rows in (
        report.ways_table(figures.ways),
        report.latency_table(figures.latencies),
        report.compared_table(figures.compared),
        report.aims_table(figures),
    ):
        if len(rows) > 1:
            click.echo("\n" + "\n".join(table(rows)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--orders", type=int, nargs="+", default=[1_000, 10_000, 100_000], metavar="N", help="sizes of companies"
    )
    parser.add_argument(
        "--sqlserver", type=int, nargs="+", default=[], metavar="N", help="sizes of companies on SQL Server"
    )
    parser.add_argument(
        "--latency",
        type=float,
        nargs="*",
        default=[0.0, 0.2],
        metavar="S",
        help="seconds each request takes; 0 is none",
    )
    parser.add_argument(
        "--service", type=float, default=0.03, metavar="S", help="seconds each operation takes under latency"
    )
    parser.add_argument(
        "--concurrency", type=int, nargs="+", default=[4, 8], metavar="N", help="requests at once under latency"
    )
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="how often what changes nothing is measured")
    parser.add_argument(
        "--out", type=Path, default=PROJECT / "docs" / "benchmarks.md", metavar="FILE", help="page to write"
    )
    return parser


if __name__ == "__main__":
    main(sys.argv[1:])
