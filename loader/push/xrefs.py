"""GP's codes without a translation, and translations that CRM does not know."""

from __future__ import annotations

from collections.abc import Iterator

from loader.contract import Model
from loader.push.checking import Finding, seed_findings
from loader.run import Run
from loader.warehouse.connection import quoted


def check(run: Run) -> list[Finding]:
    """Findings for every cross-reference of the contract."""
    findings = list(seed_findings(run))
    for model in run.contract.models:
        for each in filter(None, (model, model.children)):
            findings += _unmapped(run, each)
    return findings


def _unmapped(run: Run, model: Model) -> Iterator[Finding]:
    for column in model.sent:
        xref = column.meta.xref
        if xref is None:
            continue
        code, value = quoted(xref.code), quoted(column.name)
        rows = run.warehouse.query(
            f"select {code}, count(*) from {model.relation}"
            f" where {value} is null and {code} is not null group by {code}"
        )
        where = f"{model.name}.{column.name}"
        for gp_code, orders in sorted(rows, key=lambda row: str(row[0])):
            blocks = xref.unmapped == "block"
            effect = "blocked" if blocks else "sent without it"
            yield Finding(
                "error" if blocks else "warning",
                f"{where}: GP's code {str(gp_code).rstrip()!r} has no translation; {orders} orders are {effect}.",
                "Add it to its seed in seeds/xref/ and run `dbt seed`.",
            )
        if not rows:
            yield Finding("ok", f"{where}: every code has a translation.")
