"""`loader check`: what stands in the way of a push, each with its remedy. Reads only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from loader.contract import Column, Model, SeedOptions
from loader.dataverse.client import RequestFailed
from loader.run import Run
from loader.sync.binding import Binding, Bindings
from loader.sync.canonical import Text
from loader.sync.gather import read_lookups, read_orders
from loader.sync.lookups import Ambiguous, Index, Missing, match_key
from loader.warehouse.connection import quoted


@dataclass(frozen=True)
class Finding:
    """One line of the check."""

    state: Literal["ok", "warning", "error"]
    text: str
    remedy: str = ""


def check(run: Run) -> list[Finding]:
    """All findings. Raises where nothing more can be looked at: no warehouse, no manifest, no CRM."""
    return list(_findings(run))


def _findings(run: Run) -> Iterator[Finding]:
    contract = run.contract
    keys = {model.name: run.keys(model) for model in contract.models}
    yield Finding("ok", f"Warehouse {run.target.address}: {sum(map(len, keys.values()))} orders are staged.")
    organization = run.organization
    yield Finding("ok", f"CRM {run.settings.crm_url}: signed in as {organization.caller_name}.")
    yield from _sop(run)
    for model in contract.models:
        bindings = run.bindings(model)
        yield from _columns(bindings)
        yield from _privileges(run, bindings)
        yield from _staged_twice(model, keys[model.name])
        if not any(problem.fatal for problem in bindings.problems):
            yield from _in_crm_twice(run, bindings.base, keys[model.name])
            yield from _lookups(run, model)
    for options in contract.options:
        yield from _options(run, options)


def _sop(run: Run) -> Iterator[Finding]:
    organization = run.organization
    if organization.keeps_amounts:
        yield Finding("ok", "SOP integration is on and the caller is an integration user: GP's amounts are kept.")
    elif organization.sop_integration:
        yield Finding(
            "warning",
            "SOP integration is on, but the caller is not an integration user: CRM computes the amounts.",
            "Set isintegrationuser on the caller's systemuser row to send GP's totals, baseamount and extendedamount.",
        )
    else:
        yield Finding(
            "warning",
            "SOP integration is off: CRM computes totals, baseamount and extendedamount; they are not sent, not compared.",
            "Turn it on (organization.issopintegrationenabled) and make the caller an integration user to send GP's.",
        )


def _columns(bindings: Bindings) -> Iterator[Finding]:
    for problem in bindings.problems:
        state: Literal["warning", "error"] = "error" if problem.fatal else "warning"
        yield Finding(state, f"{problem.model}.{problem.column}: {problem.text}.", problem.remedy)
    if any(problem.fatal for problem in bindings.problems):
        return
    for binding in filter(None, (bindings.base, bindings.base.lines)):
        number = len(binding.fields) + len(binding.state_fields)
        yield Finding("ok", f"{binding.model.name}: {number} columns fit CRM's {binding.table.name}.")
        for field in binding.fields:
            if isinstance(field.type, Text) and field.type.max_length is not None:
                yield from _too_short(binding.model, field.column, field.type.max_length)


def _too_short(model: Model, column: Column, length: int) -> Iterator[Finding]:
    size = column.data_type.partition("(")[2].rstrip(") ")
    if column.meta.lookup is None and size.isdigit() and int(size) > length:
        yield Finding(
            "warning",
            f"{model.name}.{column.name} is {column.data_type}, CRM holds {length} characters: longer texts are cut.",
            f"Raise the column's length in CRM to {size}, or shorten it in the model.",
        )


def _privileges(run: Run, bindings: Bindings) -> Iterator[Finding]:
    """Privileges the caller lacks for the tables of one model."""
    caller = run.organization.caller_id
    try:
        answer = run.client.get(f"systemusers({caller})/Microsoft.Dynamics.CRM.RetrieveUserPrivileges()")
    except RequestFailed:
        yield Finding("warning", "CRM does not tell the caller's privileges; a missing one shows at the first push.")
        return
    held = {row.get("PrivilegeName", "").lower() for row in answer["RolePrivileges"]}
    table = bindings.base.table.name
    looked_up = {
        column.meta.lookup.table
        for model in filter(None, (bindings.model, bindings.model.children))
        for column in model.sent
        if column.meta.lookup
    }
    needed = [f"prv{verb}{table}" for verb in ("Create", "Read", "Write", "Append")]
    if bindings.model.meta.share_with:
        needed.append(f"prvShare{table}")
    needed += [f"prvRead{_privilege_name(name)}" for name in sorted(looked_up)]
    missing = [name for name in needed if name.lower() not in held]
    if missing:
        yield Finding(
            "error", f"The caller lacks {', '.join(missing)}.", "Add them to a security role of the application user."
        )
    else:
        yield Finding("ok", f"The caller may read, write and share {bindings.base.table.entity_set}.")


def _privilege_name(table: str) -> str:
    """Some tables go by another one's privilege."""
    return {"systemuser": "User", "uom": "UoMSchedule", "pricelevel": "PriceLevel"}.get(table, table)


def _staged_twice(model: Model, keys: list[str]) -> Iterator[Finding]:
    counted = Counter(map(match_key, keys))
    for key in (key for key, count in counted.items() if count > 1):
        yield Finding(
            "error",
            f"{model.name} has {counted[key]} rows of {model.key_column} {key!r}.",
            "The order is blocked; `dbt test --select crm` shows the rows.",
        )


def _in_crm_twice(run: Run, binding: Binding, keys: list[str]) -> Iterator[Finding]:
    found = read_orders(run.client, binding, keys)
    doubled = sorted(rows[0][binding.key.name] for rows in found.values() if len(rows) > 1)
    if doubled:
        yield Finding(
            "warning",
            f"CRM has several {binding.table.entity_set} of one name: {_some(doubled)}.",
            "Those orders are blocked as order_ambiguous: rename or delete all but one.",
        )
    else:
        yield Finding("ok", f"Each staged order is at most once in {binding.table.entity_set}.")


def _lookups(run: Run, model: Model) -> Iterator[Finding]:
    index = read_lookups(run.client, run.tables, run.lookup_values(model))
    for each in filter(None, (model, model.children)):
        for column in each.sent:
            if column.meta.lookup:
                yield from _one_lookup(run, each, column, index)


def _one_lookup(run: Run, model: Model, column: Column, index: Index) -> Iterator[Finding]:
    lookup = column.meta.lookup
    assert lookup is not None
    staged = list(lookup.match.values())
    names = ", ".join(map(quoted, staged))
    rows = run.warehouse.query(f"select distinct {names} from {model.relation} where {quoted(column.name)} is not null")
    outcomes = {
        " / ".join(str(value).rstrip() for value in row): index.find(lookup, [v if v is not None else "" for v in row])
        for row in rows
    }
    missing = sorted(key for key, outcome in outcomes.items() if isinstance(outcome, Missing))
    doubled = sorted(key for key, outcome in outcomes.items() if isinstance(outcome, Ambiguous))
    where = f"{model.name}.{column.name}: {lookup.table} by {', '.join(lookup.match)}"
    if missing:
        effect = "their orders are blocked" if lookup.missing == "block" else "the column is left as it is"
        yield Finding(
            "warning", f"{where}: {len(missing)} not found, {effect}: {_some(missing)}.", "Create them in CRM."
        )
    if doubled:
        effect = "their orders are blocked" if lookup.ambiguous == "block" else "the column is left as it is"
        yield Finding("warning", f"{where}: {len(doubled)} ambiguous, {effect}: {_some(doubled)}.", "Keep one of each.")
    if not (missing or doubled):
        yield Finding("ok", f"{where}: all {len(outcomes)} found.")


def _options(run: Run, options: SeedOptions) -> Iterator[Finding]:
    table = run.tables.get(options.table)
    attribute = table.attributes.get(options.attribute) if table else None
    if attribute is None:
        yield Finding(
            "error",
            f"Seed {options.seed}: CRM has no column {options.table}.{options.attribute}.",
            "Correct meta.crm.option_of in seeds/xref/_xref.yml.",
        )
        return
    rows = run.warehouse.query(f"select distinct {quoted(options.column)} from {options.relation}")
    unknown = sorted(
        int(str(row[0])) for row in rows if row[0] is not None and int(str(row[0])) not in attribute.options
    )
    if unknown:
        known = ", ".join(f"{value} {label}" for value, label in attribute.options.items())
        yield Finding(
            "error",
            f"Seed {options.seed}.{options.column} holds {', '.join(map(str, unknown))}: not an option of {options.attribute}.",
            f"CRM has {known}. Correct the seed and run `dbt seed`.",
        )
    else:
        yield Finding("ok", f"Seed {options.seed}.{options.column}: {len(rows)} options, all in CRM.")


def _some(names: list[str], limit: int = 5) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
