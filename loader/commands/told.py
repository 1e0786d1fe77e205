"""Where plans and results go as they come: to lines of text, or to entries of the JSON envelope."""

from __future__ import annotations

from loader.commands.push import result_json
from loader.report.text import PushText
from loader.report.told import ToldAsJson
from loader.sync.push import Settled


class PushTold:
    """The orders of a push, in the form that was asked for."""

    def __init__(self, as_json: bool) -> None:
        self.text = PushText()
        self.results = ToldAsJson()
        self._as_json = as_json

    def add(self, settled: Settled) -> None:
        if self._as_json:
            self.results.add_entry(result_json(settled))
        else:
            self.text.add(settled)
