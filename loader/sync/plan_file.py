"""A saved plan as text: what a push is to do with which order, and what that was based on. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from loader.errors import UsageError
from loader.keys import match_key
from loader.sync.plan import OrderPlan

PLAN_FILE_VERSION = 2
_ENTRY = {"order", "digest", "etag", "share_with"}


@dataclass(frozen=True)
class PlanFile:
    """A saved plan: what was to be done with which order, and a fingerprint of what that was based on."""

    crm_url: str
    created_at: str
    entries: dict[str, dict[str, Any]]
    """Match key → the order's entry, as `OrderPlan.as_json` with `digest` and `etag`."""
    whole: bool = False
    """It was made of every staged order."""

    def is_current(self, plan: OrderPlan) -> bool:
        entry = self.entries.get(match_key(plan.key))
        return entry is not None and entry["digest"] == plan.digest and entry["etag"] == plan.etag

    def is_rest(self, plan: OrderPlan) -> bool:
        """All that is left to do is to share the order as was planned."""
        planned = self.entries[match_key(plan.key)]["share_with"]
        return not (plan.new or plan.header or plan.state or plan.lines) and planned == plan.as_json()["share_with"]


def plan_file_entry(plan: OrderPlan) -> dict[str, Any]:
    return {**plan.entry(), "digest": plan.digest, "etag": plan.etag}


def plan_file_text(entries: Iterable[str], crm_url: str, created_at: str, *, whole: bool) -> Iterator[str]:
    """The file, piece by piece. `entries` are the orders that a push is to write, each a `plan_file_entry` in JSON."""
    head = {"version": PLAN_FILE_VERSION, "crm_url": crm_url, "created_at": created_at, "whole": whole}
    yield json.dumps(head).removesuffix("}") + ', "orders": ['
    for number, entry in enumerate(entries):
        yield (",\n" if number else "\n") + entry
    yield "\n]}\n"


def parse_plan_file(text: str, name: object, crm_url: str) -> PlanFile:
    """The plan in the text of the file `name`. Raises UsageError where it is none, or was made for another CRM."""
    try:
        content = json.loads(text)
        entries = {match_key(entry["order"]): entry for entry in content["orders"]}
        if any(not entry.keys() >= _ENTRY for entry in entries.values()):
            raise KeyError("order")
        version, made_for, created_at = content["version"], content["crm_url"], content["created_at"]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UsageError(f"{name} is not a plan file.", "Name a file that `loader plan --out` wrote.") from None
    if version != PLAN_FILE_VERSION:
        raise UsageError(f"{name} has version {version}; this loader reads {PLAN_FILE_VERSION}.", "Plan again.")
    if made_for != crm_url:
        raise UsageError(f"{name} was made for {made_for}, not for {crm_url}.", "Plan again for this CRM.")
    return PlanFile(made_for, created_at, entries, content.get("whole") is True)
