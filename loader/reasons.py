"""Every reason why a record was not pushed, or not as staged: one row per reason.

docs/promises.md is generated from this table. A code with `*` stands for codes that depend on the models:
`account_not_found` belongs to the look-up that meta.crm calls `account`. meta.crm also says whether such a code blocks
the record or only warns.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

Outcome = Literal["blocked", "failed", "skipped", "warning", "resolved"]


@dataclass(frozen=True)
class Reason:
    """One reason: its effect on the record, its cause and its remedy, in whole sentences."""

    code: str
    outcomes: tuple[Outcome, ...]
    cause: str
    remedy: str


REASONS: tuple[Reason, ...] = (
    # The first row that matches a code counts, so whole codes come before patterns.
    Reason(
        "currency_differs",
        ("blocked",),
        "In CRM, the record is in another currency than GP's amounts, and CRM never changes a record's currency.",
        "Delete or rename the record in CRM, so that it is created again; or set the var `gp_currency`.",
    ),
    Reason(
        "*_too_large",
        ("blocked",),
        "The record needs more than 1,000 operations, which is the most that a change set can have.",
        "Split it in GP, or enter its lines in CRM by hand.",
    ),
    Reason(
        "line_repeated",
        ("blocked",),
        "Two staged lines have the same line number.",
        "The message has the line number; give the lines different numbers in GP.",
    ),
    Reason(
        "value_out_of_range",
        ("blocked",),
        "CRM cannot store a number or an option. The message names the column and the value.",
        "Correct the value in GP, or widen the column's range in CRM.",
    ),
    Reason(
        "value_refused",
        ("blocked",),
        "CRM refuses to search for a value of the record. The message names the value and quotes CRM.",
        "Correct the value in GP. Records without it are pushed all the same.",
    ),
    Reason(
        "version_missing",
        ("blocked",),
        "CRM's reply did not contain the record's version, even when it was read again, so a change could be missed.",
        "Find out what removes `@odata.etag` from replies between CRM and the loader.",
    ),
    Reason(
        "plan_stale",
        ("blocked",),
        "The record was changed in GP or in CRM after the plan was saved.",
        "Make a new plan and push that one.",
    ),
    Reason(
        "crm_rejected",
        ("failed",),
        "CRM refused the record. The message is CRM's own.",
        "Correct what the message names. Every push tries the record again.",
    ),
    Reason(
        "crm_unavailable",
        ("failed",),
        "CRM could not be reached, or did not confirm what became of the record.",
        "Run the push again when CRM is back. What has arrived is not sent twice.",
    ),
    Reason(
        "interrupted",
        ("failed",),
        "The run was stopped before it reached the record.",
        "Run the push again; it includes the record.",
    ),
    Reason(
        "inactive",
        ("skipped",),
        "The record is inactive in GP and CRM does not have it, so it is not created.",
        "Nothing needs to be done.",
    ),
    Reason(
        "not_in_crm",
        ("skipped",),
        "The model only changes records that CRM has, and this one was deleted in CRM during the run.",
        "Nothing needs to be done.",
    ),
    Reason(
        "closed_in_crm",
        ("skipped",),
        "The record is closed in CRM, as fulfilled, invoiced and cancelled orders are, so it is not changed.",
        "Nothing needs to be done.",
    ),
    Reason(
        "held",
        ("skipped",),
        "Somebody set the record aside with `loader retry hold`.",
        "`loader retry release` lets it go again.",
    ),
    Reason(
        "ignored",
        ("skipped",),
        "Somebody took the record out of the queue with `loader retry ignore`.",
        "`loader retry release` lets it go again.",
    ),
    Reason(
        "left_scope",
        ("resolved",),
        "A queued record is no longer staged: it was deleted in GP, or is an order that was voided or transferred.",
        "Nothing needs to be done.",
    ),
    Reason(
        "value_truncated",
        ("warning",),
        "The text is longer than CRM's column, and was cut.",
        "Raise the column's length in CRM, or shorten the text in GP.",
    ),
    Reason(
        "value_cleaned",
        ("warning",),
        "The text has characters that CRM refuses, such as control characters. Each was replaced by a blank.",
        "Correct the text in GP.",
    ),
    Reason(
        "date_out_of_range",
        ("warning",),
        "The date is before 1753-01-01 or after 9999-12-30, in UTC. CRM cannot store it, so the column is left empty.",
        "Correct the date in GP.",
    ),
    Reason(
        "*_taken_over",
        ("warning",),
        "CRM had a record with this key that the loader had not written and that belonged to another account. "
        "It is now GP's record.",
        "If it was a different record, enter that one again in CRM under another name.",
    ),
    Reason(
        "*_adopted",
        ("warning",),
        "CRM had exactly one record that is otherwise the same but has no key. It became GP's record and got its key.",
        "If it was a different record, clear its key in CRM and change what makes the two alike.",
    ),
    Reason(
        "*_loop",
        ("blocked",),
        "Records of one table refer to each other in a circle, so that none of them can be created before the others.",
        "The message names them. Remove one of them from the circle in GP.",
    ),
    Reason(
        "*_differs",
        ("blocked",),
        "CRM made the record without the line that GP has as the one which all others are built on, such as the base "
        "unit of a unit schedule, and CRM never changes that line.",
        "Correct it in GP, or delete the record in CRM if nothing uses it, so that it is created again.",
    ),
    Reason(
        "share_refused",
        ("warning",),
        "CRM refused to share the record with the owner of its account: the owner is disabled or lacks the privileges. "
        "The record was written without it.",
        "Give the account another owner; the record is then shared with that one.",
    ),
    Reason(
        "*_not_of_*",
        ("blocked", "warning"),
        "Two rows that were found do not belong together: a unit is not in the product's own unit group.",
        "Correct the unit group in CRM, or the item's unit schedule in GP.",
    ),
    Reason(
        "*_currency",
        ("blocked", "warning"),
        "The row that was found is in another currency than the record.",
        "Create a row of this name in the record's currency in CRM.",
    ),
    Reason(
        "*_inactive",
        ("blocked", "warning"),
        "CRM has rows with GP's key, but none of them is active. With a warning, such a row is used all the same.",
        "Activate the row in CRM, or give its key to another one.",
    ),
    Reason(
        "*_not_found",
        ("blocked", "warning"),
        "CRM has no active row with GP's key, or GP has no value although CRM needs one.",
        "Create the row in CRM, or correct its key there or in GP. The next push finds it.",
    ),
    Reason(
        "*_ambiguous",
        ("blocked", "warning"),
        "CRM has several rows with GP's key or with one that it treats as the same, the key is staged twice, or "
        "several rows could be adopted.",
        "Deactivate, rename or delete all but one of them in CRM; `loader check` names keys that are staged twice.",
    ),
    Reason(
        "*_unmapped",
        ("blocked", "warning"),
        "GP's code is not in its seed in `seeds/xref`.",
        "Add the code to the seed and run `dbt seed`.",
    ),
)


def reason(code: str) -> Reason | None:
    """The row of a code; None for a code that the loader does not give."""
    return next((row for row in REASONS if fnmatchcase(code, row.code)), None)


def remedy(code: str) -> str:
    """What to do about it, as plain text; blank for a code that the loader does not give."""
    found = reason(code)
    return found.remedy.replace("`", "") if found else ""
