"""`loader check`: what stands in the way of a push, each with its remedy. Reads only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from loader.contract import Column, Model, SeedOptions
from loader.dataverse.batch import Query
from loader.dataverse.client import RequestFailed
from loader.dataverse.query import definition_of
from loader.run import Run, StagedOrders
from loader.sync.binding import Binding, Bindings, tables_needed
from loader.sync.canonical import DateOutOfRange, DayInstant, Text, Type, same_clock
from loader.sync.gather import read_lookups, read_orders
from loader.sync.lookups import Ambiguous, Index, LookupKey, Missing, match_key
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
    staged = {model.name: run.stage(model) for model in contract.models}
    count = sum(len(each.keys) for each in staged.values())
    yield Finding("ok", f"Warehouse {run.target.address}: {count} orders are staged.")
    for text, remedy in run.warehouse.shortcomings():
        yield Finding("error", text, remedy)
    organization = run.organization
    yield Finding("ok", f"CRM {run.settings.crm_url}: signed in as {organization.caller_name}.")
    yield from _sop(run)
    for model in contract.models:
        bindings = run.bindings(model)
        yield from _columns(bindings)
        yield from _privileges(run, bindings)
        yield from _staged_twice(model, staged[model.name].keys)
        if not any(problem.fatal for problem in bindings.problems):
            yield from _dates(bindings.base, staged[model.name])
            yield from _time_zone(bindings.base, organization.time_zone)
            yield from _in_crm_twice(run, bindings.base, staged[model.name].keys)
            yield from _lookups(run, staged[model.name])
    for options in contract.options:
        yield from options_findings(run, options)


def _sop(run: Run) -> Iterator[Finding]:
    organization = run.organization
    if organization.keeps_amounts:
        yield Finding("ok", "SOP integration is on and the caller is an integration user: GP's amounts are kept.")
    elif organization.sop_integration:
        yield Finding(
            "warning",
            "SOP integration is on, but the caller is not an integration user: CRM computes the amounts.",
            "`loader sop-mode enable --integration-user` marks the caller as one and has GP's amounts kept.",
        )
    else:
        yield Finding(
            "warning",
            "SOP integration is off: CRM computes totals, baseamount and extendedamount; they are not sent.",
            "`loader sop-mode enable --integration-user` has CRM keep GP's amounts.",
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


def _dates(binding: Binding, staged: StagedOrders) -> Iterator[Finding]:
    """Staged dates that CRM cannot hold."""
    for each in filter(None, (binding, binding.lines)):
        for field in each.fields:
            if field.attribute.kind == "DateTime":
                values = [row[0] for row in staged.rows.distinct(each.model, [field.name], field.name)]
                impossible = sorted(str(value) for value in values if not _can_be_held(field.type, value))
                if impossible:
                    yield Finding(
                        "warning",
                        f"{each.model.name}.{field.name}: CRM holds dates from 1753-01-01 to 9999-12-30; "
                        f"the column is left empty in the place of {_some(impossible)}.",
                        "Correct the dates in GP.",
                    )


def _can_be_held(kind: Type, value: object) -> bool:
    try:
        kind.canonical(value)
    except DateOutOfRange:
        return False
    return True


def _time_zone(binding: Binding, caller: str | None) -> Iterator[Finding]:
    """Whether days stay days where CRM keeps midnight in the caller's time zone in the place of the instant sent."""
    fields = [field for each in filter(None, (binding, binding.lines)) for field in each.fields]
    days = ", ".join(dict.fromkeys(field.name for field in fields if isinstance(field.type, DayInstant)))
    own = binding.model.meta.time_zone
    if not days or own is None:
        return
    remedy = f"Set the time zone of the caller's personal options in CRM to that of {own}."
    if caller is None:
        yield Finding("warning", f"CRM does not tell the caller's time zone, which decides the day of {days}.", remedy)
    elif not same_clock(caller, own):
        yield Finding(
            "warning",
            f"The caller's time zone in CRM is {caller}, GP's is {own}: "
            f"an organisation that keeps only the day of {days} may show another one.",
            remedy,
        )
    else:
        yield Finding("ok", f"The caller's time zone in CRM, {caller}, is GP's: the days of {days} stay what they are.")


def _privileges(run: Run, bindings: Bindings) -> Iterator[Finding]:
    """Privileges the caller lacks, by the names that CRM's metadata gives them."""
    caller = run.organization.caller_id
    model, share = bindings.model, bindings.model.meta.share_with
    verbs = {table: {"Read"} for table in tables_needed([model])}
    verbs[model.table] |= {"Create", "Write", "Append", "AppendTo", *(["Share"] if share else [])}
    if model.children:
        verbs[model.children.table] |= {"Create", "Write", "Delete", "Append"}
    try:
        answer = run.client.get(f"systemusers({caller})/Microsoft.Dynamics.CRM.RetrieveUserPrivileges()")
        named = run.client.query([Query(f"{definition_of(table)}?$select=LogicalName,Privileges") for table in verbs])
    except RequestFailed:
        yield Finding("warning", "CRM does not tell the caller's privileges; a missing one shows at the first push.")
        return
    held = {row.get("PrivilegeName", "").lower() for row in answer["RolePrivileges"]}
    needed = {
        privilege["Name"]
        for entity in named
        for privilege in entity["Privileges"]
        if privilege["PrivilegeType"] in verbs[entity["LogicalName"]]
    }
    missing = sorted(name for name in needed if name.lower() not in held)
    if missing:
        remedy = "Add them to a security role of the application user."
        yield Finding("error", f"The caller lacks {', '.join(missing)}.", remedy)
    else:
        yield Finding("ok", f"The caller has all {len(needed)} privileges that a push of {model.table} needs.")


def _staged_twice(model: Model, keys: list[str]) -> Iterator[Finding]:
    counted = Counter(map(match_key, keys))
    for key in (key for key, count in counted.items() if count > 1):
        yield Finding(
            "error",
            f"{model.name} has {counted[key]} rows of {model.key_column} {key!r}.",
            "They are blocked: leave one of them in GP."
            f" `dbt show --select unique_code_{model.name}_{model.key_column}` shows all keys that are repeated.",
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


def _lookups(run: Run, staged: StagedOrders) -> Iterator[Finding]:
    index = read_lookups(run.client, run.tables, staged.lookup_values())
    for each in filter(None, (staged.model, staged.model.children)):
        for column in each.sent:
            if column.meta.lookup:
                yield from _one_lookup(staged, each, column, index)


def _one_lookup(orders: StagedOrders, model: Model, column: Column, index: Index) -> Iterator[Finding]:
    lookup = column.meta.lookup
    assert lookup is not None
    rows = orders.rows.distinct(model, list(lookup.match.values()), column.name)
    outcomes = {" / ".join(str(value).rstrip() for value in row): index.find(LookupKey.of(lookup), row) for row in rows}
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


def options_findings(run: Run, options: SeedOptions) -> Iterator[Finding]:
    """Seed values that are no options of their CRM column."""
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
    where = f"Seed {options.seed}.{options.column}"
    if unknown:
        known = ", ".join(f"{value} {label}" for value, label in attribute.options.items())
        yield Finding(
            "error",
            f"{where} holds {', '.join(map(str, unknown))}: not an option of {options.attribute}.",
            f"CRM has {known}. Correct the seed and run `dbt seed`.",
        )
    else:
        yield Finding("ok", f"{where}: {len(rows)} options, all in CRM.")


def _some(names: list[str], limit: int = 5) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
