"""What stands in the way of a push, each with its remedy. Reads only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from loader.context import Context, StagedRecords
from loader.contract import Column, Lookup, Model, SeedOptions, StateAction
from loader.dataverse.batch import Query
from loader.dataverse.client import RequestFailed
from loader.dataverse.describe import has_action, read_tables
from loader.dataverse.metadata import Attribute, Table
from loader.dataverse.query import definition_of
from loader.dataverse.replies import optional_text, rows, text
from loader.dbt_commands import shown_by
from loader.errors import UsageError
from loader.keys import match_key
from loader.push.session import Session, open_session, planned_in_waves
from loader.push.staging import stage
from loader.reasons import remedy
from loader.sync.binding import Binding, Bindings, tables_needed
from loader.sync.canonical import DateOutOfRange, DayInstant, Text, Type, same_clock
from loader.sync.landed import Landings
from loader.sync.lookups import Ambiguous, Index, Missing, Refused
from loader.warehouse.connection import quoted


@dataclass(frozen=True)
class Finding:
    """One line of `loader check`."""

    state: Literal["ok", "warning", "error"]
    text: str
    remedy: str = ""


def check(context: Context) -> list[Finding]:
    """All findings. Raises if nothing more can be checked, because there is no warehouse, manifest or CRM."""
    return list(_findings(context))


def _findings(context: Context) -> Iterator[Finding]:
    models = context.contract.models
    organization, every = context.organization, {model.name: context.bindings(model) for model in models}
    # which records a model has that creates none is for CRM to say, by columns that may not fit
    staged = {each.model.name: each for each in stage(context, [m for m in models if _creates_or_fits(every[m.name])])}
    yield _staged(context, staged)
    for shortcoming in context.warehouse.shortcomings():
        yield Finding("error", *shortcoming)
    yield Finding("ok", f"CRM {context.settings.crm_url}: signed in as {organization.caller_name}.")
    yield from _sop(context)
    yield from _privileges(context)
    yield from _tracking(context)
    landings = Landings.of(models)
    for model in models:
        bindings = every[model.name]
        yield from _columns(bindings)
        yield from _actions(context, bindings)
        if model.name in staged:
            yield from _staged_twice(context, model, staged[model.name].keys)
        if not bindings.is_sound:
            yield _not_planned(model)
        else:
            yield from _dates(bindings.base, staged[model.name])
            yield from _time_zone(bindings.base, organization.time_zone)
            session = open_session(context, staged[model.name], landings, is_expecting=True)
            yield from _currency(bindings)
            yield from _records(context, session, staged[model.name])
            yield from _lookups(session, staged[model.name])
    yield from seed_findings(context)


def _not_planned(model: Model) -> Finding:
    return Finding(
        "warning",
        f"{model.name} is not planned, because its columns do not fit CRM; the other models are. What they look up in"
        f" {model.table} counts as missing unless CRM has it.",
        f"Correct the columns of {model.name}, and run `loader check` again.",
    )


def _creates_or_fits(bindings: Bindings) -> bool:
    return bindings.model.meta.create == "always" or bindings.is_sound


def _staged(context: Context, staged: Mapping[str, StagedRecords]) -> Finding:
    counts: Counter[str] = Counter()
    for each in staged.values():
        counts[each.model.table] += len(each.keys)
    verb = "is" if counts.total() == 1 else "are"
    return Finding("ok", f"Warehouse {context.target.address}: {context.contract.counted(counts)} {verb} staged.")


def _sop(context: Context) -> Iterator[Finding]:
    organization = context.organization
    columns = (column for model in context.contract.each_model for column in model.sent)
    computed = dict.fromkeys(column.name for column in columns if column.meta.computed) or ["the amounts"]
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
            f"SOP integration is off: CRM computes {', '.join(computed)}; they are not sent.",
            "`loader sop-mode enable --integration-user` has CRM keep GP's amounts.",
        )


def _columns(bindings: Bindings) -> Iterator[Finding]:
    for mismatch in bindings.mismatches:
        state: Literal["warning", "error"] = "error" if mismatch.fatal else "warning"
        yield Finding(state, f"{mismatch.model}.{mismatch.column}: {mismatch.text}.", mismatch.remedy)
    if not bindings.is_sound:
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


def _dates(binding: Binding, staged: StagedRecords) -> Iterator[Finding]:
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


def _actions(context: Context, bindings: Bindings) -> Iterator[Finding]:
    """Actions by which states are set: whether CRM has them, and can bind the record that they take."""
    model, states = bindings.model, bindings.model.meta.state
    for statecode, action in states.actions.items() if states else ():
        where = f"{model.name}: state.actions.{statecode}"
        remedy = f"Correct state.actions in the meta.crm of {model.name}."
        known = bindings.base.table.attributes.get(bindings.base.state_column)
        if known and statecode not in known.options:
            yield Finding("error", f"{where}: {model.table} has no state {statecode}.", remedy)
        if not has_action(context.client, action.name):
            yield Finding("error", f"{where}: CRM has no action {action.name}.", remedy)
        table = _table_of(context, action)
        if table is None:
            yield Finding("error", f"{where}: CRM has no table {action.type}.", remedy)
        elif action.bind not in [its for (_, target), its in table.single.items() if target == model.table]:
            text = f"{where}: {action.type} has no look-up {action.bind} to {model.table}"
            yield Finding("error", f"{text}.", remedy)


def _table_of(context: Context, action: StateAction) -> Table | None:
    """The table of the record that an action takes."""
    try:
        return read_tables(context.client, [action.type])[action.type]
    except UsageError:
        return None


def _tracking(context: Context) -> Iterator[Finding]:
    """Tables in which CRM does not tell what moved, so that every run compares all records with it."""
    if not context.settings.full_compare:
        return
    silent = sorted(name for name, table in context.tables.items() if not table.tracks_changes)
    if silent:
        yield Finding(
            "warning",
            f"CRM does not track changes of {', '.join(silent)}: every push compares all records that depend on them.",
            "Switch on Track changes in the table's settings (Power Apps, Tables, Properties, Advanced options).",
        )
    else:
        yield Finding("ok", "CRM tracks changes of all tables: a push compares what moved.")


def _privileges(context: Context) -> Iterator[Finding]:
    """Privileges the caller lacks, by the names that CRM's metadata gives them."""
    caller = context.organization.caller_id
    verbs = _verbs(context)
    try:
        answer = context.client.get(f"systemusers({caller})/Microsoft.Dynamics.CRM.RetrieveUserPrivileges()")
        named = context.client.query(
            [Query(f"{definition_of(table)}?$select=LogicalName,Privileges") for table in verbs]
        )
    except RequestFailed:
        yield Finding("warning", "CRM does not tell the caller's privileges; a missing one shows at the first push.")
        return
    held = {(optional_text(row, "PrivilegeName") or "").lower() for row in rows(answer, "RolePrivileges")}
    needed = {
        text(privilege, "Name")
        for verb, entity in zip(verbs.values(), named, strict=True)
        for privilege in rows(entity, "Privileges")
        if privilege.get("PrivilegeType") in verb
    }
    missing = sorted(name for name in needed if name.lower() not in held)
    if missing:
        remedy = "Add them to a security role of the application user."
        yield Finding("error", f"The caller lacks {', '.join(missing)}.", remedy)
    else:
        yield Finding("ok", f"The caller has all {len(needed)} privileges that a push needs.")


def _verbs(context: Context) -> dict[str, set[str]]:
    """Table → what a push does to its rows, in the words of CRM's privileges."""
    verbs = {table: {"Read"} for table in tables_needed(context.contract.models)}
    for model in context.contract.models:
        verbs[model.table] |= {"Write", "Append", "AppendTo"}
        if model.meta.create == "always":
            verbs[model.table].add("Create")
        if model.meta.share_with:
            verbs[model.table].add("Share")
        if model.children and model.meta.children:
            verbs[model.children.table] |= {"Create", "Write", "Append"}
            if model.meta.children.delete:
                verbs[model.children.table].add("Delete")
        for action in model.meta.state.actions.values() if model.meta.state else ():
            if _table_of(context, action):
                verbs.setdefault(action.type, set()).update(("Create", "Append"))
    return verbs


def _staged_twice(context: Context, model: Model, keys: list[str]) -> Iterator[Finding]:
    shows = shown_by(context.target, context.project_dir, f"unique_code_{model.name}_{model.key_column}")
    counted = Counter(map(match_key, keys))
    for key in (key for key, count in counted.items() if count > 1):
        yield Finding(
            "error",
            f"{model.name} has {counted[key]} rows of {' / '.join(model.meta.match_on)} {key!r}.",
            f"They are blocked: leave one of them in GP. `{shows}` shows all keys that are repeated.",
        )


def _currency(bindings: Bindings) -> Iterator[Finding]:
    currency, code = bindings.base.currency, bindings.model.meta.currency
    if currency.id:
        source = "as meta.crm says" if code else "the organisation's base currency"
        yield Finding("ok", f"{bindings.model.name}: amounts are in {currency.code}, {source}.")


def _records(context: Context, session: Session, staged: StagedRecords) -> Iterator[Finding]:
    """What a push would report for each record, by reason. `_lookups` reports what look-ups lack, key by key."""
    model = staged.model
    told: dict[tuple[bool, str], dict[str, str]] = {}
    elsewhere = {f"{each.called}_{why}" for each in _all_lookups(model) for why in ("not_found", "ambiguous")}
    for chunk in planned_in_waves(session, staged, context.settings.concurrency, context.stop):
        for _, plan in chunk:
            notes = [(True, plan.reason, plan.message)] if plan.action == "block" and not plan.obstacles else []
            for obstacle in plan.obstacles:
                if obstacle.code not in elsewhere or "" in obstacle.match.values():
                    notes.append((True, obstacle.code, obstacle.message))
            notes += [(False, each.code, each.message) for each in plan.warnings if each.code not in elsewhere]
            for blocks, code, message in notes:
                told.setdefault((blocks, code), {}).setdefault(plan.key, message)
    for (blocks, code), messages in sorted(told.items(), key=lambda item: (not item[0][0], item[0][1])):
        effect = "would be blocked as" if blocks else "would go with the warning"
        shown = _some([f"{key} ({message})" for key, message in messages.items()])
        text = f"{model.name}: {len(messages)} {effect} {code}: {shown}."
        yield Finding("error" if blocks else "warning", text, remedy(code))
    if not any(blocks for blocks, _ in told):
        yield Finding("ok", f"{model.name}: nothing but what CRM lacks keeps {model.a_record} back.")


def _all_lookups(model: Model) -> list[Lookup]:
    columns = [*model.sent, *(model.children.sent if model.children else ())]
    return [column.meta.lookup for column in columns if column.meta.lookup]


def _lookups(session: Session, staged: StagedRecords) -> Iterator[Finding]:
    for each in filter(None, (staged.model, staged.model.children)):
        for column in each.sent:
            if column.meta.lookup:
                yield from _one_lookup(staged, each, column, session.index)


def _one_lookup(records: StagedRecords, model: Model, column: Column, index: Index) -> Iterator[Finding]:
    lookup = column.meta.lookup
    assert lookup is not None
    staged = list(lookup.match.values())
    rows = records.rows.distinct(model, staged, column.name)
    missing, doubled, blank, refused = [], [], [], []
    for row in rows:
        key = " / ".join(str(value).rstrip() for value in row if value is not None)
        outcome = index.find(lookup, row)
        if any(row[staged.index(name)] is None for name in lookup.blank):
            blank.append(key)
        elif isinstance(outcome, Refused):
            refused.append(key)  # `_records` reports it with CRM's message
        elif isinstance(outcome, Missing) or not (outcome.is_active or lookup.inactive != "missing"):
            missing.append(key)
        elif isinstance(outcome, Ambiguous):
            doubled.append(key)
    where = f"{model.name}.{column.name}: {lookup.table} by {', '.join(lookup.match)}"
    blocked = f"their {records.model.nouns} are blocked"
    effects = {"block": blocked, "leave": "the column is left as it is", "clear": "the column is left empty"}
    if missing:
        text = f"{where}: {len(missing)} not found, {effects[lookup.missing]}: {_some(sorted(missing))}."
        if lookup.missing == "clear":
            yield Finding("ok", text)
        else:
            yield Finding("warning", text, "Create them in CRM, or make them active there.")
    if blank:
        why = ", ".join(lookup.blank.values())
        text = f"{where}: {len(blank)} cannot be looked up, {effects[lookup.missing]}: {_some(sorted(blank))}: {why}."
        yield Finding("warning", text, "Correct them in GP.")
    if doubled:
        text = f"{where}: {len(doubled)} ambiguous, {effects[lookup.ambiguous]}: {_some(sorted(doubled))}."
        yield Finding("error" if lookup.ambiguous == "block" else "warning", text, "Keep one of each.")
    if not (missing or doubled or blank or refused):
        yield Finding("ok", f"{where}: all {len(rows)} found.")


def seed_findings(context: Context) -> Iterator[Finding]:
    """What CRM does not know, or does not let the loader set, of the values that seeds hold for its columns."""
    by_seed: dict[str, list[SeedOptions]] = {}
    for options in context.contract.options:
        yield from _options(context, options)
        by_seed.setdefault(options.seed, []).append(options)
    for columns in by_seed.values():
        yield from _states(context, columns)


def _states(context: Context, columns: Sequence[SeedOptions]) -> Iterator[Finding]:
    """Pairs of state and status that CRM refuses, and states that it does not let one set."""
    for status in columns:
        table = context.tables.get(status.table)
        attributes = table.attributes if table else {}
        known = attributes[status.attribute].states if status.attribute in attributes else {}
        state = next(
            (each for each in columns if each.table == status.table and _is_state(attributes.get(each.attribute))), None
        )
        if not known or state is None:
            continue
        model = next((each for each in context.contract.models if each.table == status.table), None)
        closed = model.meta.state.closed if model and model.meta.state else []
        rows = context.warehouse.query(
            f"select distinct {quoted(state.column)}, {quoted(status.column)} from {status.relation}"
            f" where {quoted(state.column)} is not null and {quoted(status.column)} is not null"
        )
        pairs = sorted((int(str(row[0])), int(str(row[1]))) for row in rows)
        labels, where = attributes[state.attribute].options, f"Seed {status.seed}"
        wrong = [(its, value) for its, value in pairs if known.get(value, its) != its]
        for its, value in wrong:
            yield Finding(
                "error",
                f"{where}: {status.column} {value} ({attributes[status.attribute].options[value]}) does not belong to "
                f"{state.column} {its} ({labels.get(its, 'unknown')}) but to {known[value]} ({labels[known[value]]}).",
                "CRM would refuse every record with it. Correct the seed and run `dbt seed`.",
            )
        shut = sorted({its for its, _ in pairs} & set(closed)) if model else []
        for its in shut:
            assert model is not None
            yield Finding(
                "warning",
                f"{where}: {state.column} {its} ({labels.get(its, 'unknown')}) closes {model.a_record} in CRM, "
                "and no later push changes it.",
                "If it should stay open, map it to another state, and run `dbt seed`.",
            )
        if not wrong and not shut:
            yield Finding("ok", f"{where}: each {status.column} belongs to its {state.column}.")


def _is_state(attribute: Attribute | None) -> bool:
    return attribute is not None and attribute.kind == "State"


def _options(context: Context, options: SeedOptions) -> Iterator[Finding]:
    """Seed values that are no options of their CRM column."""
    table = context.tables.get(options.table)
    attribute = table.attributes.get(options.attribute) if table else None
    if attribute is None:
        yield Finding(
            "error",
            f"Seed {options.seed}: CRM has no column {options.table}.{options.attribute}.",
            "Correct meta.crm.option_of in seeds/xref/_xref.yml.",
        )
        return
    rows = context.warehouse.query(f"select distinct {quoted(options.column)} from {options.relation}")
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
