"""`loader check`: whether anything prevents a push."""

from __future__ import annotations

from loader.invocation import Invocation, command
from loader.push import checking
from loader.report.findings import tell_findings


@command("check")
def check(invocation: Invocation) -> None:
    """Preflight: warehouse, mapping against CRM's live metadata, privileges, SOP mode, cross-references.

    \b
    Example:
        loader check
    """
    with invocation.context() as context:
        findings = checking.check(context)
    tell_findings(invocation.output, findings)
