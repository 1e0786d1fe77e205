"""`loader xref`: compares the cross-reference seeds with GP and CRM."""

from __future__ import annotations

from loader.invocation import Invocation, global_options, group, pass_invocation
from loader.push import xrefs
from loader.report.findings import tell_findings


@group("xref")
def xref() -> None:
    """The cross-reference seeds: GP's codes and CRM's options."""


@xref.command("check")
@global_options
@pass_invocation
def xref_check(invocation: Invocation) -> None:
    """Find GP codes without a translation, and translations that CRM does not know.

    \b
    Example:
        loader xref check
    """
    with invocation.context() as context:
        findings = xrefs.check(context)
    tell_findings(invocation.output, findings)
