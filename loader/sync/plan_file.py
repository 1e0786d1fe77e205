"""A saved plan as text: what a push is to do with which record, and what that was based on. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from loader.errors import UsageError
from loader.keys import match_key
from loader.sync.plan import RecordPlan

PLAN_FILE_VERSION = 3
_ENTRY = {"table", "key", "digest", "etag", "share_with"}


@dataclass(frozen=True)
class PlanFile:
    """A saved plan: what was to be done with which record, and a fingerprint of what that was based on."""

    crm_url: str
    created_at: str
    entries: dict[tuple[str, str], dict[str, Any]]
    """Table and match key → the record's entry, as `RecordPlan.as_json` with `digest` and `etag`."""
    whole: bool = False
    """It was made of every staged record."""

    def keys_of(self, table: str) -> dict[str, str]:
        """Match key → key of the records of one table."""
        return {key: str(entry["key"]) for (its, key), entry in self.entries.items() if its == table}

    def is_current(self, plan: RecordPlan) -> bool:
        entry = self.entries.get((plan.table, match_key(plan.key)))
        return entry is not None and entry["digest"] == plan.digest and entry["etag"] == plan.etag

    def is_rest(self, plan: RecordPlan) -> bool:
        """All that is left to do is to share the record as was planned."""
        planned = self.entries[(plan.table, match_key(plan.key))]["share_with"]
        return not (plan.new or plan.header or plan.state or plan.lines) and planned == plan.as_json()["share_with"]


def plan_file_entry(plan: RecordPlan) -> dict[str, Any]:
    return {**plan.entry(), "digest": plan.digest, "etag": plan.etag}


def plan_file_text(entries: Iterable[str], crm_url: str, created_at: str, *, whole: bool) -> Iterator[str]:
    """The file, piece by piece. `entries` are the records that a push is to write, each a `plan_file_entry` in JSON."""
    head = {"version": PLAN_FILE_VERSION, "crm_url": crm_url, "created_at": created_at, "whole": whole}
    yield json.dumps(head).removesuffix("}") + ', "records": ['
    for number, entry in enumerate(entries):
        yield (",\n" if number else "\n") + entry
    yield "\n]}\n"


def parse_plan_file(text: str, name: object, crm_url: str | None) -> PlanFile:
    """The plan in the text of the file `name`. Raises UsageError if it is not one, or was made for another CRM.

    Without `crm_url` it may be for any CRM.
    """
    try:
        content = json.loads(text, parse_float=Decimal)
        if any(not entry.keys() >= _ENTRY for entry in content["records"]):
            raise KeyError("records")
        entries = {(entry["table"], match_key(entry["key"])): entry for entry in content["records"]}
        version, made_for, created_at = content["version"], content["crm_url"], content["created_at"]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UsageError(f"{name} is not a plan file.", "Name a file that `loader plan --out` wrote.") from None
    if version != PLAN_FILE_VERSION:
        raise UsageError(f"{name} has version {version}; this loader reads {PLAN_FILE_VERSION}.", "Plan again.")
    if crm_url is not None and made_for != crm_url:
        raise UsageError(f"{name} was made for {made_for}, not for {crm_url}.", "Plan again for this CRM.")
    return PlanFile(made_for, created_at, entries, content.get("whole") is True)
