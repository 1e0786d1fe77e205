"""`loader reconcile`: reads the records back from CRM, and says where they differ."""

from __future__ import annotations

from collections.abc import Iterator

from loader.contract import Contract
from loader.invocation import Invocation, command
from loader.push import reconciling
from loader.push.reconciling import DIFFERENCES, Reconciled
from loader.report.words import counted


@command("reconcile")
def reconcile(invocation: Invocation) -> None:
    """Read the staged records back from CRM into the warehouse, and count the differences. CRM is only read.

    \b
    Example:
        loader reconcile
    """
    with invocation.context("write") as context, invocation.output.progress("Reading back") as progress:
        report, contract = reconciling.reconcile(context, progress), context.contract
    invocation.output.data(report.as_json(), lambda: lines(report, contract))


def lines(report: Reconciled, contract: Contract) -> Iterator[str]:
    """The report in words."""
    read = contract.counted({table: counts["read"] for table, counts in report.tables.items()})
    yield f"Read {read} with {counted(report.lines, 'line')} from CRM, {counted(report.requests['read'], 'request')}."
    for table, counts in report.tables.items():
        if counts["not_in_crm"]:
            model = contract.model_of(table)
            yield f"{counts['not_in_crm']:,} of {model.counted(counts['asked'])} are not there."
    for message in report.unread.values():
        yield f"Not read: {message}"
    for kind, count in report.differences.items():
        yield f"  {kind}: {count}"
    found = sum(report.differences.values())
    if not found and report.unread:
        yield f"CRM agrees with every {contract.noun} that was read."
    elif found:
        differing = contract.counted({table: counts["differing"] for table, counts in report.tables.items()})
        yield f"{found} differences in {differing}: `select * from {DIFFERENCES}`."
    else:
        yield f"CRM agrees with every staged {contract.noun}."
