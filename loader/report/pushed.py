"""What a push did, shown: record by record as it goes on, and its verdict at the end."""

from __future__ import annotations

from loader.contract import Contract
from loader.errors import Interrupted, LoaderError, RecordsWaiting
from loader.push.sender import Settled
from loader.push.tally import PushReport, result_json
from loader.report.changes import Telling
from loader.report.output import Output
from loader.report.spool import JsonSpool
from loader.report.text import PushText


class PushOutput:
    """The records of a push, in the form that was asked for."""

    def __init__(self, output: Output, contract: Contract) -> None:
        self.text = PushText(Telling(contract, output.verbose), output.quiet)
        self.results = JsonSpool()
        self._as_json = output.json

    def add(self, settled: Settled) -> None:
        if self._as_json:
            self.results.add_entry(result_json(settled))
        else:
            self.text.add(settled)

    def tell(self, output: Output, report: PushReport, signal: int | None) -> None:
        """The whole run's outcome. `signal` is what interrupted it, if anything did."""
        results = ("results", self.results)
        if report.failure:
            if not output.json:
                output.data(None, lambda: self.text.lines(report))
            output.error(report.failure, report.as_json(), results)
            return
        verdict: LoaderError | None = None
        if signal is not None:
            verdict = Interrupted(signal, "Interrupted after finishing the records that were being written.")
        elif report.in_trouble:
            told = report.counted("blocked", "failed")
            verdict = RecordsWaiting(f"Of {report.counted()}, blocked or failed: {told}.")
            if report.stale == report.in_trouble:
                has, was = ("has", "was") if report.stale == 1 else ("have", "were")
                text = f"{told} of the plan's {report.counted()} {has} moved since, and {was} refused."
                verdict = RecordsWaiting(text, "Make the plan again and push that one.")
        output.data(report.as_json(), lambda: self.text.lines(report), verdict, results)
