"""What dbt's manifest says about CRM: every model with `meta.crm` is one CRM table (docs/contract.md)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from string import Formatter
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, field_validator, model_validator

from loader.checksum import checksum
from loader.errors import ContractError
from loader.keys import KEY_SEPARATOR

JOURNAL_TABLES = (
    "sync_run",
    "sync_event",
    "retry_queue",
    "crm_xref",
    "sync_lock",
    "sync_state",
    "sync_lookup",
    "sync_noted",
)

OnFailure = Literal["block", "leave"]
OnMissing = Literal["block", "leave", "clear"]
OnInactive = Literal["warn", "block", "missing"]

CURRENCY = "transactioncurrencyid"
"""CRM's column with the currency of a record."""

_STEPS = {0: CURRENCY, 1: "lookup.column", 2: "staged_column.lookup.column"}


class _Meta(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Lookup(_Meta):
    """A staged value that identifies a row of another CRM table. The loader replaces it by that row's id.

    `match` maps a CRM column, or a one-step path such as `uomscheduleid.name`, to the staged column that holds its
    value. `block` blocks the whole record, `leave` leaves the column as it is in CRM, `clear` empties it. Null
    clears the column; with `required_unless`, null counts as missing unless that staged column is not 0.

    `active` has the values that mark a row as in use, which is preferred to others with the same key. If CRM has only
    others, `inactive` decides: the row is used with a warning, blocks the record, or counts as missing.
    `agree` maps a step of the found row, `uomscheduleid.name`, to the same thing in the row that another look-up of
    the model found, `productid.defaultuomscheduleid.name`, or to the record's own currency; the ids are compared, and
    messages show the columns after the dot. `blank` holds, for staged columns of `match`, why GP has no value there.
    """

    table: str
    match: dict[str, str] = Field(min_length=1)
    called: str
    missing: OnMissing = "block"
    ambiguous: OnFailure = "block"
    required_unless: str | None = None
    active: dict[str, list[int]] = {}
    inactive: OnInactive = "missing"
    agree: dict[str, str] = {}
    disagree: OnFailure = "block"
    blank: dict[str, str] = {}
    _reads: tuple[str, ...] = PrivateAttr(())

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns to read of the row that is found: whether it is in use, and what has to agree with other rows."""
        return self._reads

    @cached_property
    def identity(self) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
        """The table, the columns that are matched, and `reads`: equal for look-ups that find the same rows."""
        return self.table, tuple(self.match), self.reads

    @model_validator(mode="after")
    def _policies_have_something_to_decide(self) -> Lookup:
        for policy, subject in (("inactive", "active"), ("disagree", "agree")):
            if policy in self.model_fields_set and not getattr(self, subject):
                raise ValueError(f"{policy} says nothing without {subject}")
        for path, its in self.agree.items():
            for text, dots in ((path, 1), (its, 0 if its == CURRENCY else 2)):
                if text.count(".") != dots:
                    raise ValueError(f"agree: {text!r} is not of the form {_STEPS[dots]}")
        return self


class Xref(_Meta):
    """A value translated by a seed. If it is null although the helper column `code` is not, the code is unmapped."""

    code: str
    called: str
    unmapped: OnFailure = "leave"


class ColumnMeta(_Meta):
    """`meta.crm` of a column.

    A column that is sent `only_at` create is never compared afterwards.
    `gp` holds the GP columns that it comes from, as TABLE.COLUMN; the YAML may give a single one as plain text. `rule`
    says in words what becomes of them, and is blank where the value stays as it is. Both are for people.
    """

    lookup: Lookup | None = None
    xref: Xref | None = None
    if_absent: Literal["fail", "skip"] = "fail"
    computed: bool = False
    only_at: Literal["create", "always"] = "always"
    gp: tuple[str, ...] = ()
    rule: str = ""

    @field_validator("gp", mode="before")
    @classmethod
    def _names_columns_of_gp(cls, value: object) -> tuple[str, ...]:
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list) or not names:
            raise ValueError("name a GP column as TABLE.COLUMN, such as RM00102.CITY, or a list of them")
        for name in names:
            if not isinstance(name, str) or not re.fullmatch(r"\w+\.\w+", name):
                raise ValueError(f"{name!r} is not of the form TABLE.COLUMN, such as RM00102.CITY")
        return tuple(names)


class MadeByParent(_Meta):
    """A child whose staged `column` is not 0 is created by CRM itself, together with the parent."""

    column: str
    called: str


class ChildrenMeta(_Meta):
    """The model whose rows are the parent's lines. `via` has the parent's key, and is sent as its id."""

    model: str
    via: str
    match_on: list[str] = Field(min_length=1)
    refresh: Literal["merge", "replace"] = "merge"
    named_by: list[str] = []
    """The first of these columns that is not null names a line to people."""
    shown_as: str = ""
    """A line in a few words: text with the line's columns in braces, and `{named_by}` for its name."""
    delete: bool = True
    """Whether lines that are not staged are deleted in CRM."""
    made_by_parent: MadeByParent | None = None

    @property
    def shown_columns(self) -> list[str]:
        """The columns of `shown_as`."""
        return [name for _, name, _, _ in Formatter().parse(self.shown_as) if name and name != "named_by"]

    @field_validator("shown_as")
    @classmethod
    def _has_pairs_of_braces(cls, text: str) -> str:
        parts = list(Formatter().parse(text))
        if any(
            name is not None and (spec or conversion or not name.isidentifier()) for _, name, spec, conversion in parts
        ):
            raise ValueError("put the name of a column, and nothing else, between braces")
        return text

    @model_validator(mode="after")
    def _only_what_may_go_is_replaced(self) -> ChildrenMeta:
        if self.refresh == "replace" and not self.delete:
            raise ValueError("refresh: replace deletes every line, delete: false none")
        return self


class ShareWith(_Meta):
    """Share each record with the owner of the row that the look-up column `owner_of` found."""

    owner_of: str
    rights: list[str] = ["ReadAccess"]


class Born(_Meta):
    """The state of a record that CRM has just created: one state, or one of two by a setting of the organisation."""

    state: dict[str, int] = {}
    setting: str | None = None
    true: dict[str, int] = {}
    false: dict[str, int] = {}

    @model_validator(mode="before")
    @classmethod
    def _is_a_state_or_a_setting(cls, value: object) -> object:
        if not isinstance(value, dict) or not value:
            raise ValueError("give a state, or a setting with the states for true and for false")
        words = {str(word).lower(): each for word, each in value.items()}
        if "setting" not in words:
            return {"state": value}
        if words.keys() != {"setting", "true", "false"}:
            raise ValueError("a setting needs a state for true and one for false, and nothing else")
        return words


class StateAction(_Meta):
    """An action of CRM that sets a state.

    `parameter` is the action's parameter that takes a record of the table `type`; `bind` is that table's look-up to
    the record.
    """

    name: str
    parameter: str
    type: str
    bind: str


class States(_Meta):
    """In which states CRM allows edits: `editable` must be set first if the record is in a `locked` state.

    Records in a `closed` state are not changed. `born` is the state of a new record if that is not `editable`.
    `actions` has, by statecode, the actions for states that an update cannot set. `cancelled` is the state that an
    undo gives to a record which the run created.
    """

    editable: dict[str, int] = Field(min_length=1)
    locked: list[int] = []
    closed: list[int] = []
    born: Born | None = None
    actions: dict[int, StateAction] = {}
    cancelled: dict[str, int] = {}

    @model_validator(mode="after")
    def _what_is_editable_is_not_closed(self) -> States:
        its = self.editable.get("statecode")
        for word in ("locked", "closed", "actions"):
            if its is not None and its in getattr(self, word):
                raise ValueError(f"statecode {its} is editable, so it cannot be in {word}")
        return self


class CreateUnless(_Meta):
    """A record that CRM does not have is skipped with `reason` if the staged `column` is not 0."""

    column: str
    reason: str


class ModelMeta(_Meta):
    """`meta.crm` of a model.

    `noun` is what people call one of its records, `title` a staged column that people know it by, `amount` one with its
    amount of money. `currency` is the ISO code of the currency that the amounts are in; blank is the
    organisation's base currency. `belongs_to` is the look-up that says whose record it is.
    """

    version: Literal[2]
    table: str
    noun: str = ""
    nouns: str = ""
    title: str | None = None
    amount: str | None = None
    match_on: list[str] = []
    create: Literal["always", "never"] = "always"
    """`never`: the model ignores records that CRM does not have, or that are closed there."""
    create_unless: CreateUnless | None = None
    sought_by: str | None = None
    """The staged column by which the warehouse finds the records of a model that never creates."""
    key_prefixes: list[str] = []
    """What a record's key may begin with and the column `sought_by` does not have."""
    adopt_by: list[str] = []
    """Columns by which a record in CRM that has no key is recognised as the record."""
    children: ChildrenMeta | None = None
    share_with: ShareWith | None = None
    state: States | None = None
    sop_mode: bool = False
    """Whether CRM creates these records in a locked state while SOP integration is on."""
    currency: str = ""
    belongs_to: str | None = None
    time_zone: str | None = None
    """The IANA name of the time zone of GP's dates. Lines without one use their parent's."""

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, name: str | None) -> str | None:
        try:
            return name if name is None else ZoneInfo(name).key
        except (ValueError, OSError, KeyError):
            raise ValueError(f"{name!r} is not an IANA time zone, such as America/New_York") from None

    @model_validator(mode="after")
    def _words_go_together(self) -> ModelMeta:
        if self.create == "never":
            for word in ("create_unless", "adopt_by"):
                if getattr(self, word):
                    raise ValueError(f"{word} says nothing with create: never")
            if len(self.match_on) > 1:
                raise ValueError(
                    f"create: never needs a single column in match_on, but it has {' and '.join(self.match_on)}: the"
                    " loader asks CRM for the keys of all open records. Give the table one column that holds the whole"
                    " key, or have this model create records, too"
                )
        elif self.sought_by:
            raise ValueError("sought_by says nothing without create: never")
        if self.key_prefixes and not self.sought_by:
            raise ValueError("key_prefixes says nothing without sought_by")
        if self.adopt_by and len(self.match_on) != 1:
            raise ValueError("adopt_by needs a single column in match_on")
        return self


@dataclass(frozen=True)
class Column:
    """One column of a `crm_*` model. A name with a double underscore is a helper and is not sent."""

    name: str
    data_type: str
    description: str
    meta: ColumnMeta

    @property
    def is_helper(self) -> bool:
        return "__" in self.name


@dataclass(frozen=True)
class Origin:
    """What a model's rows come from besides GP: texts that differ if seeds do, or SQL and vars do; blank if unknown."""

    seeds: str = ""
    models: str = ""


@dataclass(frozen=True)
class Model:
    """One `crm_*` model: the rows of one CRM table. `relation` is its name in the warehouse, quoted by dbt."""

    name: str
    unique_id: str
    relation: str
    columns: tuple[Column, ...]
    meta: ModelMeta
    children: Model | None = None
    origin: Origin = Origin()
    """Of its own rows and of its children's."""

    @property
    def table(self) -> str:
        return self.meta.table

    @property
    def sent(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if not column.is_helper)

    @property
    def key_column(self) -> str:
        """The staged column that identifies a record in plans, queue and journal; the first of several."""
        return self.meta.match_on[0]

    @property
    def has_plain_key(self) -> bool:
        """Whether one column of the table itself is the whole key, so that CRM can be asked for it as staged."""
        return len(self.meta.match_on) == 1 and self.column(self.key_column).meta.lookup is None

    def key_of(self, row: Mapping[str, object]) -> str:
        """The text that identifies a staged record in plans, queue and journal."""
        return KEY_SEPARATOR.join(str(row[column]).rstrip(" ") for column in self.meta.match_on)

    @property
    def noun(self) -> str:
        """What people call one of its records."""
        return self.meta.noun

    @property
    def nouns(self) -> str:
        """What people call several of its records."""
        return self.meta.nouns or f"{self.meta.noun}s"

    @property
    def a_record(self) -> str:
        """`an order`, `a unit schedule`."""
        article = "an" if re.match(r"[aeio]|u(?!ni|se)", self.noun) else "a"
        return f"{article} {self.noun}"

    def counted(self, number: int) -> str:
        """`1 order`, `2,000 orders`."""
        return f"{number:,} {self.noun if number == 1 else self.nouns}"

    def reason(self, why: str) -> str:
        """A reason code of the model's own, such as `order_ambiguous`."""
        return f"{self.noun.replace(' ', '_')}_{why}"

    @property
    def own_lookups(self) -> tuple[Column, ...]:
        """The look-ups by which records of the model refer to others of the same model."""
        return tuple(column for column in self.sent if column.meta.lookup and column.meta.lookup.table == self.table)

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)


@dataclass(frozen=True)
class JournalTable:
    """A journal table as dbt declares it: relation name and (column, type) pairs."""

    relation: str
    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class SeedOptions:
    """A seed column whose values are options of a CRM column (`meta.crm.option_of: table.column`)."""

    seed: str
    relation: str
    column: str
    table: str
    attribute: str


@dataclass(frozen=True)
class ContractTest:
    """A data test that a push depends on: its name in dbt, and the model with meta.crm that it tests."""

    name: str
    model: str


@dataclass(frozen=True)
class Contract:
    """Everything that the loader reads from the manifest."""

    adapter: str
    models: tuple[Model, ...]
    journal: Mapping[str, JournalTable]
    options: tuple[SeedOptions, ...]
    relations: Mapping[str, str]
    """dbt model → relation name, for every model."""
    tests: Mapping[str, ContractTest]
    """The data tests on models with meta.crm, by unique id."""

    @property
    def each_model(self) -> Iterator[Model]:
        """Models and their children."""
        for model in self.models:
            yield model
            if model.children:
                yield model.children

    def model_of(self, table: str) -> Model:
        """The first of the models that fill a table."""
        return next(model for model in self.models if model.table == table)

    @property
    def is_of_one_table(self) -> bool:
        """Whether a key alone tells which record is meant."""
        return len({model.table for model in self.models}) == 1

    @property
    def noun(self) -> str:
        """What people call any of its records: `order` if there are only orders."""
        return self.models[0].noun if self.is_of_one_table else "record"

    @property
    def nouns(self) -> str:
        """What people call several of its records."""
        return self.models[0].nouns if self.is_of_one_table else "records"

    def named(self, table: str, key: str) -> str:
        """A record as people are told of it: its key, after its noun if there are several tables."""
        return key if self.is_of_one_table else f"{self.noun_of(table)} {key}"

    def noun_of(self, table: str) -> str:
        """What people call a record of a table, which may be one that no model fills any more."""
        return next((model.noun for model in self.models if model.table == table), table)

    def nouns_of(self, table: str) -> str:
        """What people call several records of a table, which may be one that no model fills any more."""
        return next((model.nouns for model in self.models if model.table == table), table)

    def counted(self, counts: Mapping[str, int]) -> str:
        """Numbers of records by table, in words: `3 accounts, 1 order`."""
        told = [self.model_of(table).counted(number) for table, number in counts.items() if number]
        return ", ".join(told) or self.models[-1].counted(0)

    def key_columns(self, name: str) -> tuple[str, ...]:
        """The columns that distinguish the rows of a model."""
        for model in self.models:
            lines = model.meta.children
            if model.name == name:
                return tuple(model.meta.match_on)
            if lines and lines.model == name:
                return (lines.via, *lines.match_on)
        return ()


def read_contract(manifest: Path, adapter: str) -> Contract:
    """Reads `target/manifest.json`. Raises ContractError naming file, model and column."""
    try:
        content = json.loads(manifest.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ContractError(f"{manifest} does not exist.", "Run `dbt build` first: it writes the manifest.") from None
    except (OSError, ValueError) as error:
        raise ContractError(f"{manifest} cannot be read: {error}", "Run `dbt build` again.") from None

    built_for = content.get("metadata", {}).get("adapter_type")
    if built_for != adapter:
        raise ContractError(
            f"{manifest} was built for {built_for}, but the target is {adapter}.",
            "Run `dbt build` with the same --target as the loader.",
        )
    nodes = {node["name"]: node for node in content.get("nodes", {}).values() if node.get("resource_type") == "model"}
    declared = {name: node for name, node in nodes.items() if "crm" in _meta(node)}
    models = {name: _model(node) for name, node in declared.items()}
    return Contract(
        adapter=adapter,
        models=tuple(replace(model, origin=_origin(model, content)) for model in _parents(models)),
        journal={name: _journal_table(nodes, name) for name in JOURNAL_TABLES},
        options=tuple(_options(content.get("nodes", {}).values())),
        relations={name: node["relation_name"] for name, node in nodes.items()},
        tests=dict(_tests(content.get("nodes", {}), {node["unique_id"]: name for name, node in declared.items()})),
    )


def _origin(model: Model, content: Mapping[str, Any]) -> Origin:
    """What dbt read and ran for a model. `dbt build` compiles everything; other commands leave some of the SQL out."""
    nodes: Mapping[str, Any] = content.get("nodes", {})
    waiting = [model.unique_id, *([model.children.unique_id] if model.children else [])]
    found: dict[str, Mapping[str, Any]] = {}
    while waiting:
        name = waiting.pop()
        if name not in found and name in nodes:
            found[name] = nodes[name]
            waiting += nodes[name].get("depends_on", {}).get("nodes", [])
    seeds = {name: str(node.get("checksum")) for name, node in found.items() if node.get("resource_type") == "seed"}
    models = {name: node.get("compiled_code") for name, node in found.items() if node.get("resource_type") == "model"}
    return Origin(
        checksum(seeds) if seeds else "",
        "" if None in models.values() else checksum({name: str(sql) for name, sql in models.items()}),
    )


def _meta(node: Mapping[str, Any]) -> Mapping[str, Any]:
    meta: Mapping[str, Any] = node.get("config", {}).get("meta") or node.get("meta") or {}
    return meta


def _model(node: Mapping[str, Any]) -> Model:
    name = node["name"]
    if not node.get("config", {}).get("contract", {}).get("enforced"):
        raise ContractError(f"Model {name}: meta.crm needs an enforced contract.", "Set contract: {enforced: true}.")
    where = f"{_yaml_file(node)}: Model {name}"
    columns = tuple(
        Column(
            name=column["name"],
            data_type=column.get("data_type") or "",
            description=column.get("description") or "",
            meta=_validated(ColumnMeta, _meta(column).get("crm") or {}, f"{where}, column {column['name']}"),
        )
        for column in node["columns"].values()
    )
    meta = _validated(ModelMeta, _meta(node)["crm"], where)
    model = Model(name, node["unique_id"], node["relation_name"], columns, meta)
    _check_names(model)
    _set_reads(model)
    return model


def _yaml_file(node: Mapping[str, Any]) -> str:
    """The YAML file that describes a model, below the project's folder."""
    return str(node.get("patch_path") or node["original_file_path"]).partition("://")[2] or node["original_file_path"]


def _validated(kind: type[Any], value: object, where: str) -> Any:
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(["meta.crm", *(str(part) for part in first["loc"])])
        raise ContractError(
            f"{where}: {place}: {first['msg']}.", "docs/contract.md lists what meta.crm may hold."
        ) from None


def _check_names(model: Model) -> None:
    """Every column that meta.crm names must be a column of the model."""
    known = {column.name for column in model.columns}
    meta = model.meta
    named = [("match_on", name) for name in meta.match_on] + [("adopt_by", name) for name in meta.adopt_by]
    named += [
        (place, name)
        for place, name in (
            ("title", meta.title),
            ("amount", meta.amount),
            ("sought_by", meta.sought_by),
            ("create_unless", meta.create_unless and meta.create_unless.column),
        )
        if name
    ]
    look_ups = {
        place: name
        for place, name in (
            ("share_with.owner_of", meta.share_with and meta.share_with.owner_of),
            ("belongs_to", meta.belongs_to),
        )
        if name
    }
    named += look_ups.items()
    for column in model.columns:
        if column.meta.lookup:
            named += [(f"{column.name}: lookup.match", staged) for staged in column.meta.lookup.match.values()]
            if column.meta.lookup.required_unless:
                named.append((f"{column.name}: lookup.required_unless", column.meta.lookup.required_unless))
            for path in column.meta.lookup.agree.values():
                if path != CURRENCY:
                    named.append((f"{column.name}: lookup.agree", path.partition(".")[0]))
                    look_ups[f"{column.name}: lookup.agree"] = path.partition(".")[0]
            _check_blank(model, column, column.meta.lookup)
        if column.meta.xref:
            named.append((f"{column.name}: xref.code", column.meta.xref.code))
    for place, name in named:
        if name not in known:
            raise ContractError(
                f"Model {model.name}, {place}: there is no column {name!r}.",
                f"Columns are {', '.join(sorted(known))}.",
            )
    for place, name in look_ups.items():
        if model.column(name).meta.lookup is None:
            raise ContractError(
                f"Model {model.name}, {place}: {name!r} is not a look-up.", "Name a column with meta.crm.lookup."
            )
    for word in ("match_on", "adopt_by"):
        for name in getattr(meta, word):
            if model.column(name).is_helper:
                raise ContractError(f"Model {model.name}, {word}: {name!r} is not sent.", "Name one of CRM's columns.")
    for name in meta.adopt_by:
        if model.column(name).meta.lookup:
            raise ContractError(f"Model {model.name}, adopt_by: {name!r} is a look-up.", "Name columns with values.")


def _set_reads(model: Model) -> None:
    lookups = {column.name: column.meta.lookup for column in model.columns if column.meta.lookup}
    reads: dict[str, list[str]] = {name: [*lookup.active, *lookup.agree] for name, lookup in lookups.items()}
    for lookup in lookups.values():
        for path in lookup.agree.values():
            name, dot, step = path.partition(".")
            if dot:
                reads[name].append(step)
    for name, lookup in lookups.items():
        lookup._reads = tuple(dict.fromkeys(reads[name]))


def _check_blank(model: Model, column: Column, lookup: Lookup) -> None:
    for name in lookup.blank:
        if name not in lookup.match.values():
            raise ContractError(
                f"Model {model.name}, {column.name}: lookup.blank: {name!r} is not matched by the look-up.",
                f"It matches {', '.join(lookup.match.values())}.",
            )


def _parents(models: Mapping[str, Model]) -> tuple[Model, ...]:
    """Top-level models with their children attached, in the order in which they are pushed."""
    children = {model.meta.children.model for model in models.values() if model.meta.children}
    parents = [_with_children(model, models) for model in models.values() if model.name not in children]
    if not parents:
        raise ContractError("No model in the manifest has meta.crm.", "Run `dbt build` of the whole project.")
    by_table: dict[str, Model] = {}
    for model in sorted(parents, key=lambda model: model.name):
        first = by_table.setdefault(model.table, model)
        if first.meta.match_on != model.meta.match_on:
            raise ContractError(
                f"Models {first.name} and {model.name} fill {model.table}, but match_on differs.",
                "A record has one key: give both models the same match_on.",
            )
        if model.meta.create == "never" and model.column(model.key_column).meta.lookup:
            raise ContractError(
                f"Model {model.name}, match_on: {model.key_column!r} is a look-up, and create: never needs a"
                " column that is the key itself, because the loader asks CRM for the keys of all open records.",
                "Match on a column that holds a value, or have the model create records, too.",
            )
    return _in_order(parents)


def _in_order(parents: Iterable[Model]) -> tuple[Model, ...]:
    """Puts a table after the tables that it looks up, and of one table's models those that create records first."""
    waiting = sorted(parents, key=lambda model: (model.meta.create == "never", model.name))
    ordered: list[Model] = []
    while waiting:
        ready = next((model for model in waiting if not _awaits(model, waiting)), None)
        if ready is None:
            circle = _circle(waiting)
            raise ContractError(
                f"Models {', '.join(circle)} look each other up in a circle, so none of them can be pushed first.",
                "Remove one of these look-ups.",
            )
        ordered.append(ready)
        waiting.remove(ready)
    return tuple(ordered)


def _awaits(model: Model, waiting: Iterable[Model]) -> list[Model]:
    """The models that must be pushed before this one. Look-ups to a table that the model itself fills do not count."""
    own = _filled(model)
    looked_up = {
        column.meta.lookup.table for each in _with_lines(model) for column in each.sent if column.meta.lookup
    } - own
    creates = model.meta.create == "always"
    return [
        other
        for other in waiting
        if other is not model
        and (
            _filled(other) & looked_up or (other.table == model.table and other.meta.create == "always" and not creates)
        )
    ]


def _circle(waiting: Sequence[Model]) -> list[str]:
    """Models that wait for each other in a circle, in order."""
    path = [waiting[0]]
    while (following := _awaits(path[-1], waiting)[0]) not in path:
        path.append(following)
    return [model.name for model in path[path.index(following) :]]


def _with_lines(model: Model) -> list[Model]:
    return [model, model.children] if model.children else [model]


def _filled(model: Model) -> set[str]:
    return {each.table for each in _with_lines(model)}


def _with_children(model: Model, models: Mapping[str, Model]) -> Model:
    if not model.meta.match_on:
        raise ContractError(
            f"Model {model.name}: match_on needs at least one column.", "Name CRM's cross-reference column."
        )
    if not re.fullmatch(r"[a-z][a-z ]*", model.meta.noun):
        raise ContractError(
            f"Model {model.name}: noun says in small letters what one record is called, such as order.",
            "Add noun to its meta.crm.",
        )
    meta = model.meta.children
    if meta is None:
        return model
    lines = models.get(meta.model)
    if lines is None:
        raise ContractError(
            f"Model {model.name}: children.model {meta.model!r} has no meta.crm.", "Add it to that model."
        )
    known = {column.name for column in lines.columns}
    made = [meta.made_by_parent.column] if meta.made_by_parent else []
    for name in [meta.via, *meta.match_on, *meta.named_by, *meta.shown_columns, *made]:
        if name not in known:
            raise ContractError(
                f"Model {lines.name}: there is no column {name!r}, named by {model.name}.",
                "Correct children.",
            )
    zone = lines.meta.time_zone or model.meta.time_zone
    return replace(model, children=replace(lines, meta=lines.meta.model_copy(update={"time_zone": zone})))


def _tests(nodes: Mapping[str, Mapping[str, Any]], models: Mapping[str, str]) -> Iterator[tuple[str, ContractTest]]:
    for unique_id, node in nodes.items():
        if node.get("resource_type") == "test":
            about = [node.get("attached_node"), *node.get("depends_on", {}).get("nodes", [])]
            model = next((models[each] for each in about if each in models), None)
            if model:
                yield unique_id, ContractTest(node["name"], model)


def _options(nodes: Iterable[Mapping[str, Any]]) -> Iterator[SeedOptions]:
    for node in nodes:
        for column in node["columns"].values() if node.get("resource_type") == "seed" else ():
            target = (_meta(column).get("crm") or {}).get("option_of")
            if target:
                table, dot, attribute = str(target).partition(".")
                if not dot:
                    where = f"Seed {node['name']}, column {column['name']}: meta.crm.option_of"
                    raise ContractError(f"{where}: {target!r} is not table.column.", "Name the CRM column it holds.")
                yield SeedOptions(node["name"], node["relation_name"], column["name"], table, attribute)


def _journal_table(nodes: Mapping[str, Mapping[str, Any]], name: str) -> JournalTable:
    node = nodes.get(name)
    if node is None:
        raise ContractError(
            f"The manifest has no journal model {name!r}.", "Restore models/journal/ and run `dbt build`."
        )
    return JournalTable(
        node["relation_name"],
        tuple((column["name"], column["data_type"]) for column in node["columns"].values()),
    )
