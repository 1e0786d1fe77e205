"""GP's codes without a translation, and translations that CRM does not know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from loader.context import Context
from loader.contract import Model
from loader.push.audits import rows_of
from loader.push.checking import Finding, seed_findings


def check(context: Context) -> list[Finding]:
    """Findings for every cross-reference of the contract."""
    findings = list(seed_findings(context))
    unmapped = rows_of(context, "audit_unmapped_codes")
    for model in context.contract.models:
        for each in filter(None, (model, model.children)):
            findings += _unmapped(each, model, unmapped)
    return findings


def _unmapped(model: Model, record: Model, unmapped: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    for column in model.sent:
        if column.meta.xref is None:
            continue
        where = f"{model.name}.{column.name}"
        rows = [row for row in unmapped if (row["crm_table"], row["crm_column"]) == (model.table, column.name)]
        for row in sorted(rows, key=lambda row: str(row["gp_code"])):
            blocks = row["effect"] != "column_left"
            verb = "is" if row["records"] == 1 else "are"
            records = f"{record.counted(row['records'])} {verb} {'blocked' if blocks else 'sent without it'}"
            yield Finding(
                "error" if blocks else "warning",
                f"{where}: GP's code {row['gp_code']!r} has no translation; {records}.",
                "Add it to its seed in seeds/xref/ and run `dbt seed`.",
            )
        if not rows:
            yield Finding("ok", f"{where}: every code has a translation.")
