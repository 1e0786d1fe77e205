"""What dbt's manifest says about CRM: every model with `meta.crm` is one CRM table (docs/contract.md)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, field_validator, model_validator

from loader.errors import ContractError

JOURNAL_TABLES = ("sync_run", "sync_event", "retry_queue", "crm_xref", "sync_lock")

OnFailure = Literal["block", "leave"]
OnInactive = Literal["warn", "block", "missing"]

CURRENCY = "transactioncurrencyid"
"""The column by which CRM says in which currency a record is."""


_STEPS = {0: CURRENCY, 1: "lookup.column", 2: "staged_column.lookup.column"}


class _Meta(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Lookup(_Meta):
    """A staged value that names a row of another CRM table; the loader turns it into that row's id.

    `match` maps a CRM column, or a one-step path such as `uomscheduleid.name`, to the staged column that holds its
    value. `block` keeps the whole order back, `leave` leaves the column as it is in CRM. Null clears the column; with
    `required_unless` it is missing, except where that staged column is not 0.

    `active` says by which values a row is in use: such a row wins over others of its key. Where CRM has only others,
    `inactive` says what happens: the row is used with a warning, blocks the order, or counts as missing.
    `agree` maps a step of the found row, `uomscheduleid.name`, to the same thing in the row that another look-up of
    the model found, `productid.defaultuomscheduleid.name`, or to the record's own currency; the ids are compared, and
    messages show the columns after the dot. `blank` holds, for staged columns of `match`, why GP has no value there.
    """

    table: str
    match: dict[str, str] = Field(min_length=1)
    called: str
    missing: OnFailure = "block"
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
        """What has to be read of a found row: whether it is in use, and what has to agree with other rows."""
        return self._reads

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
    """A value translated by a seed. Null while the helper column `code` is not: the code has no translation."""

    code: str
    called: str
    unmapped: OnFailure = "leave"


class ColumnMeta(_Meta):
    """`meta.crm` of a column.

    `gp` holds the GP columns that it comes from, as TABLE.COLUMN; the YAML may give a single one as plain text. `rule`
    says in words what becomes of them, and is blank where the value stays as it is. Both are for people.
    """

    lookup: Lookup | None = None
    xref: Xref | None = None
    if_absent: Literal["fail", "skip"] = "fail"
    computed: bool = False
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


class ChildrenMeta(_Meta):
    """The model whose rows are the parent's lines; `via` holds the parent's key and becomes its id."""

    model: str
    via: str
    match_on: list[str] = Field(min_length=1)
    refresh: Literal["merge", "replace"] = "merge"
    named_by: list[str] = []
    """The lines' columns of which the first that is not null names a line to people."""


class ShareWith(_Meta):
    """Share each record with the owner of the row that the look-up column `owner_of` found."""

    owner_of: str
    rights: list[str] = ["ReadAccess"]


class States(_Meta):
    """Which states CRM lets one edit: `editable` is what to set first when the record is in a `locked` state.

    Records in a `closed` state are left alone.
    """

    editable: dict[str, int] = Field(min_length=1)
    locked: list[int] = []
    closed: list[int] = []


class ModelMeta(_Meta):
    """`meta.crm` of a model.

    `currency` is the ISO code of the currency that the amounts are in; blank is the organisation's base currency.
    `belongs_to` is the look-up that says whose record it is.
    """

    table: str
    match_on: list[str] = []
    children: ChildrenMeta | None = None
    share_with: ShareWith | None = None
    state: States | None = None
    currency: str = ""
    belongs_to: str | None = None
    time_zone: str | None = None
    """IANA's name of the zone whose days GP's dates are. Lines without one have their parent's."""

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, name: str | None) -> str | None:
        try:
            return name if name is None else ZoneInfo(name).key
        except (ValueError, OSError, KeyError):
            raise ValueError(f"{name!r} is not a time zone of IANA's, such as America/New_York") from None


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
class Model:
    """One `crm_*` model: the rows of one CRM table. `relation` is its name in the warehouse, quoted by dbt."""

    name: str
    unique_id: str
    relation: str
    columns: tuple[Column, ...]
    meta: ModelMeta
    children: Model | None = None

    @property
    def table(self) -> str:
        return self.meta.table

    @property
    def sent(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if not column.is_helper)

    @property
    def key_column(self) -> str:
        """The staged column by which a record is known in plans, queue and journal."""
        return self.meta.match_on[0]

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
    """A data test that a push depends on: its name in dbt, and the model with meta.crm that it is about."""

    name: str
    model: str


@dataclass(frozen=True)
class Contract:
    """All that the loader reads from the manifest."""

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

    def key_columns(self, name: str) -> tuple[str, ...]:
        """The columns by which rows of a model are told apart."""
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
        models=_parents(models),
        journal={name: _journal_table(nodes, name) for name in JOURNAL_TABLES},
        options=tuple(_options(content.get("nodes", {}).values())),
        relations={name: node["relation_name"] for name, node in nodes.items()},
        tests=dict(_tests(content.get("nodes", {}), {node["unique_id"]: name for name, node in declared.items()})),
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
    named = [("match_on", name) for name in model.meta.match_on]
    look_ups = {
        place: name
        for place, name in (
            ("share_with.owner_of", model.meta.share_with and model.meta.share_with.owner_of),
            ("belongs_to", model.meta.belongs_to),
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
    """Top-level models with their children attached; a table that another one looks up comes before it."""
    children = {model.meta.children.model for model in models.values() if model.meta.children}
    parents = [_with_children(model, models) for model in models.values() if model.name not in children]
    if not parents:
        raise ContractError("No model in the manifest has meta.crm.", "Run `dbt build` of the whole project.")
    looked_up = {
        column.meta.lookup.table for model in models.values() for column in model.columns if column.meta.lookup
    }
    return tuple(sorted(parents, key=lambda model: (model.table not in looked_up, model.name)))


def _with_children(model: Model, models: Mapping[str, Model]) -> Model:
    if len(model.meta.match_on) != 1:
        raise ContractError(
            f"Model {model.name}: match_on needs exactly one column.", "Name CRM's cross-reference column."
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
    for name in [meta.via, *meta.match_on, *meta.named_by]:
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
