"""`make bench`: measures the way of generated orders from GP to CRM, prints the figures and writes them down.

python -m bench                                       1,000, 10,000 and 100,000 orders in DuckDB
python -m bench --orders 1000 --history 0             a small company, without history
python -m bench --sqlserver 1000 10000                so many in the SQL Server of the settings too

`BENCH_ORDERS="1000 10000" make bench` measures companies of these sizes. Where GP_CRM_SQLSERVER_HOST is set, 1,000
orders are measured on that server too.
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
from bench.scenarios import FAR, NEAR, NONE
from loader.report.text import table
from loader.visible import shown

MOST_COMPARED = 20_000
"""Orders of the largest company that Microsoft's client gets."""
FAR_ORDERS = 1_000
"""Orders of the largest company that is pushed to a CRM that far away."""


def main(arguments: Sequence[str]) -> None:
    options = _parser().parse_args(arguments)
    began = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {what}", file=sys.stderr, flush=True)

    figures = report.Figures(scenarios.help_time(5), load=os.getloadavg()[0])
    with tempfile.TemporaryDirectory(prefix="bench_") as folder:
        companies = [Company(Path(folder) / str(orders), orders) for orders in sorted(options.orders)]
        for number, company in enumerate(companies):
            repeat = 1 if company.orders > MOST_COMPARED else options.repeat
            is_small = number == 0 and len(companies) > 1
            figures.ways += scenarios.ways_to_crm(company, repeat, 0 if is_small else options.history, say)
        for orders in options.sqlserver:
            company = Company(Path(folder) / f"sqlserver_{orders}", orders, "sqlserver")
            figures.ways += scenarios.ways_to_crm(company, 1, 0, say)
        some = [company for company in companies if company.orders <= MOST_COMPARED] or companies[:1]
        few = [company for company in some if company.orders <= FAR_ORDERS] or some[:1]
        for concurrency in options.concurrency:
            figures.latencies.append(scenarios.under_latency(few[-1], *FAR, concurrency, say))
        for company in some:
            figures.compared.append(scenarios.beside_the_sdk(company, *NONE, say))
        figures.compared.append(scenarios.beside_the_sdk(some[-1], *NEAR, say))
        figures.compared.append(scenarios.beside_the_sdk(few[-1], *FAR, say))
    _show(figures)
    say("measured")
    if options.out:
        options.out.write_text(report.page(figures), encoding="utf-8")
        say(f"written to {options.out}")


def _show(figures: report.Figures) -> None:
    print(report.machine())
    for rows in (
        report.ways_table(figures.ways),
        report.latency_table(figures.latencies),
        report.compared_table(figures.compared),
        report.limits_table(figures),
        report.aims_table(figures),
    ):
        if len(rows) > 1:
            click.echo("\n" + "\n".join(map(shown, table(rows))))


def _parser() -> argparse.ArgumentParser:
    sizes = [int(each) for each in os.environ.get("BENCH_ORDERS", "1000 10000 100000").split()]
    on_server = [1_000] if os.environ.get("GP_CRM_SQLSERVER_HOST") else []
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--orders", type=int, nargs="+", default=sizes, metavar="N", help="sizes of companies")
    parser.add_argument(
        "--sqlserver", type=int, nargs="*", default=on_server, metavar="N", help="sizes of companies on SQL Server"
    )
    parser.add_argument(
        "--history", type=int, default=3_000_000, metavar="N", help="documents of history; all but the smallest get it"
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
