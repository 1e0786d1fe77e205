"""Findings of a check, shown; errors among them are the command's verdict."""

from __future__ import annotations

from collections.abc import Sequence

from loader.errors import CheckFailed
from loader.push.checking import Finding
from loader.report.output import Output
from loader.report.text import check_lines
from loader.report.words import counted


def tell_findings(output: Output, findings: Sequence[Finding]) -> None:
    errors = [finding for finding in findings if finding.state == "error"]
    stand = "stands" if len(errors) == 1 else "stand"
    text = f"{len(errors)} of {counted(len(findings), 'finding')} {stand} in the way of a push."
    verdict = CheckFailed(text) if errors else None
    output.data({"findings": [vars(f) for f in findings]}, lambda: check_lines(findings), verdict)
