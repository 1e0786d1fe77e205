"""Every reason why a record did not go, or did not go as staged: one row per reason. docs/promises.md is made from it.

A code with `*` stands for the codes that the models make: `account_not_found` is the look-up that meta.crm calls
`account`. Whether such a code blocks the record or only warns is said there, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

Outcome = Literal["blocked", "failed", "skipped", "warning", "resolved"]


@dataclass(frozen=True)
class Reason:
    """One reason: what it does to the record, why it comes up and what to do about it, in whole sentences."""

    code: str
    outcomes: tuple[Outcome, ...]
    cause: str
    remedy: str


REASONS: tuple[Reason, ...] = (
    # The first row that fits a code is the one that counts: whole codes come before patterns.
    Reason(
        "currency_differs",
        ("blocked",),
        "CRM holds the order in another currency than GP's amounts are in, and CRM never changes an order's currency.",
        "Delete or rename the order in CRM, so that it is created anew; or set the var `gp_currency`.",
    ),
    Reason(
        "*_too_large",
        ("blocked",),
        "The record needs more than 1,000 operations, and one change set holds no more.",
        "Split it in GP, or enter its lines in CRM by hand.",
    ),
    Reason(
        "line_repeated",
        ("blocked",),
        "Two staged lines have the same line number.",
        "The message names the line number; give the lines different ones in GP.",
    ),
    Reason(
        "value_out_of_range",
        ("blocked",),
        "CRM cannot hold a number or an option; the message names the column and the value.",
        "Correct the value in GP, or widen the column's range in CRM.",
    ),
    Reason(
        "value_refused",
        ("blocked",),
        "CRM refuses to look for a value of the order; the message names the value and has CRM's own words.",
        "Correct the value in GP; the orders that do not have it go all the same.",
    ),
    Reason(
        "version_missing",
        ("blocked",),
        "CRM's reply has no version of the order, asked twice, so that nobody could tell whether it moved meanwhile.",
        "Look for what takes `@odata.etag` out of replies between the loader and CRM.",
    ),
    Reason(
        "plan_stale",
        ("blocked",),
        "The order changed in GP or in CRM after the plan was saved.",
        "Make the plan again and push that one.",
    ),
    Reason(
        "crm_rejected",
        ("failed",),
        "CRM refused the record; the message is CRM's own.",
        "Correct what the message names; the record is tried again with every push.",
    ),
    Reason(
        "crm_unavailable",
        ("failed",),
        "CRM could not be reached, or did not settle the order.",
        "Run the push again when CRM is back; what arrived is not sent twice.",
    ),
    Reason(
        "interrupted",
        ("failed",),
        "The run was stopped before it came to the order.",
        "Run the push again; it takes the order up.",
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
        "The model only changes records that CRM has, and CRM lost this one while the run was under way.",
        "Nothing needs to be done.",
    ),
    Reason(
        "closed_in_crm",
        ("skipped",),
        "The record is closed in CRM, as fulfilled, invoiced and cancelled orders are, so it is left alone.",
        "Nothing needs to be done.",
    ),
    Reason(
        "held",
        ("skipped",),
        "Somebody set the order aside with `loader retry hold`.",
        "`loader retry release` lets it go again.",
    ),
    Reason(
        "ignored",
        ("skipped",),
        "Somebody took the order out of the queue with `loader retry ignore`.",
        "`loader retry release` lets it go again.",
    ),
    Reason(
        "left_scope",
        ("resolved",),
        "A queued order is no longer staged: it was voided, transferred or deleted in GP.",
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
        "The text holds characters that CRM refuses, such as control characters; each became a blank.",
        "Correct the text in GP.",
    ),
    Reason(
        "date_out_of_range",
        ("warning",),
        "The date is before 1753-01-01 or after 9999-12-30, in UTC; CRM cannot hold it, so the column is left empty.",
        "Correct the date in GP.",
    ),
    Reason(
        "*_taken_over",
        ("warning",),
        "CRM had a record of this key that the loader did not write and that belonged to another account; "
        "it now holds GP's.",
        "If it was another one, enter that one again in CRM under another name.",
    ),
    Reason(
        "*_adopted",
        ("warning",),
        "CRM had exactly one record without a key that is otherwise the same; it became GP's record and has its key.",
        "If it was another one, clear its key in CRM and change what makes the two alike.",
    ),
    Reason(
        "*_loop",
        ("blocked",),
        "Records of one table name each other in a circle, so that none of them can be created before the others.",
        "The message names them; take one of them out of the circle in GP.",
    ),
    Reason(
        "*_differs",
        ("blocked",),
        "CRM made the record without the line that GP has as the one which all others are built on, such as the base "
        "unit of a unit schedule, and CRM never changes that line.",
        "Correct it in GP, or delete the record in CRM where nothing uses it, so that it is created anew.",
    ),
    Reason(
        "share_refused",
        ("warning",),
        "CRM refused to share the order with the owner of its account: the owner is disabled or lacks the privileges. "
        "The order went without it.",
        "Give the account another owner, and the order is shared with that one.",
    ),
    Reason(
        "*_not_of_*",
        ("blocked", "warning"),
        "The row that was found does not go with the other one: a unit is not of the product's own unit group.",
        "Correct the unit group in CRM, or the item's unit schedule in GP.",
    ),
    Reason(
        "*_currency",
        ("blocked", "warning"),
        "The row that was found is in another currency than the order.",
        "Create a row of this name in the order's currency in CRM.",
    ),
    Reason(
        "*_inactive",
        ("blocked", "warning"),
        "CRM has only rows with GP's key that are not active. A warning says that the row is used all the same.",
        "Activate the row in CRM, or give its key to another one.",
    ),
    Reason(
        "*_not_found",
        ("blocked", "warning"),
        "CRM has no row in use with the key that GP holds, or GP has no value where CRM needs one.",
        "Create the row in CRM, or correct its key there or in GP; it is found with the next push.",
    ),
    Reason(
        "*_ambiguous",
        ("blocked", "warning"),
        "CRM has several rows with the key that GP holds or one that it takes for the same, the key is staged twice, "
        "or several rows could be adopted.",
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
