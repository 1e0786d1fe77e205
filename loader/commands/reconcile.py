"""`loader reconcile`: reads the records back from CRM, and says where they differ."""

from __future__ import annotations

from collections.abc import Iterator

from loader.invocation import Invocation, command
from loader.push import reconciling
from loader.push.reconciling import DIFFERENCES, Reconciled


@command("reconcile")
def reconcile(invocation: Invocation) -> None:
    """Read the staged records back from CRM into the warehouse, and count the differences. CRM is only read.

    \b
    Example:
        loader reconcile
    """
    with invocation.run("write") as run, invocation.output.progress("Reading back") as progress:
        report = reconciling.reconcile(run, progress)
    invocation.output.data(report.as_json(), lambda: lines(report))


def lines(report: Reconciled) -> Iterator[str]:
    """The report in words."""
    yield f"Read {report.orders} records with {report.lines} lines from CRM, {report.requests['read']} requests."
    if report.not_in_crm:
        yield f"{report.not_in_crm} of {report.asked} records are not there."
    for message in report.unread.values():
        yield f"Not read: {message}"
    for kind, count in report.differences.items():
        yield f"  {kind}: {count}"
    found = sum(report.differences.values())
    if not found and report.unread:
        yield "CRM agrees with every record that was read."
    elif found:
        yield f"{found} differences in {report.orders_that_differ} records: `select * from {DIFFERENCES}`."
    else:
        yield "CRM agrees with every staged record."
