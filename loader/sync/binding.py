"""Compares the contract with CRM's live metadata: when and as what type each column is sent, and what does not fit.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from loader.contract import CURRENCY, Column, Lookup, Model, Xref
from loader.dataverse.metadata import Attribute, Table
from loader.dataverse.organization import Organization
from loader.errors import LoaderError
from loader.sync.canonical import NoTimeZone, Type, UnsupportedType, Value, type_in_currency
from loader.sync.lookups import LookupKey

CURRENCIES = "transactioncurrency"


class ContractMismatch(LoaderError):
    """CRM does not have what the models want to send."""

    code = "contract_mismatch"
    remedy = "`loader check` lists every column that does not fit, with its remedy."


@dataclass(frozen=True)
class Mismatch:
    """A model or column that does not fit CRM. Unless it is `fatal`, a push leaves the column out.

    `check` shows it as a Finding. What is wrong with single records is in records.py: an Obstacle or a RecordWarning.
    """

    model: str
    column: str
    text: str
    remedy: str
    fatal: bool = True


@dataclass(frozen=True)
class Currency:
    """A currency in CRM; `code` is its ISO code."""

    id: str
    code: str


@dataclass(frozen=True)
class Agreement:
    """A column of the row that was found, which must equal the column `its` of the row that `other` finds.

    Without `other`, it must equal the record's own `currency`.
    """

    path: str
    other: Lookup | None = None
    its: str = ""
    currency: Currency | None = None


@dataclass(frozen=True, eq=False)
class Field:
    """One staged column and its CRM column. `navigation` and `target_set` are set for look-ups.

    A field is only equal to itself: what became of its look-ups is kept by it (`Index.answers`).
    """

    column: Column
    attribute: Attribute
    type: Type
    navigation: str = ""
    target_set: str = ""
    agreements: tuple[Agreement, ...] = ()

    @cached_property
    def name(self) -> str:
        return self.column.name

    @cached_property
    def lookup(self) -> Lookup | None:
        return self.column.meta.lookup

    @cached_property
    def xref(self) -> Xref | None:
        return self.column.meta.xref

    @cached_property
    def lookup_key(self) -> LookupKey | None:
        return LookupKey.of(self.lookup) if self.lookup else None

    @cached_property
    def decided_by(self) -> tuple[str, ...]:
        """The staged columns that decide what is stored: its own, those that a look-up matches, the one that says
        whether it may be null, and those that find the rows with which it has to agree."""
        if self.lookup is None:
            return (self.name,)
        exception = [self.lookup.required_unless] if self.lookup.required_unless else []
        others = [name for each in self.agreements if each.other for name in each.other.match.values()]
        return tuple(dict.fromkeys((self.name, *self.lookup.match.values(), *exception, *others)))

    @cached_property
    def sent_name(self) -> str:
        """The name of the property in what is sent to CRM."""
        return f"{self.navigation}@odata.bind" if self.navigation else self.name

    @cached_property
    def opening(self) -> str:
        """What stands before the id of a row that is referred to; blank for a column that is no look-up."""
        return f"/{self.target_set}(" if self.navigation else ""

    @cached_property
    def wire_name(self) -> str:
        """The name of the property in CRM's answer."""
        return f"_{self.name}_value" if self.navigation else self.name

    @cached_property
    def on_create(self) -> bool:
        return self.attribute.creatable

    @cached_property
    def on_update(self) -> bool:
        return self.attribute.updatable and not self.only_at_create

    @cached_property
    def only_at_create(self) -> bool:
        """Whether the contract leaves the column alone after the create, though CRM would take it."""
        return self.column.meta.only_at == "create"


@dataclass(frozen=True)
class Binding:
    """One model bound to its CRM table."""

    model: Model
    table: Table
    fields: tuple[Field, ...]
    """Columns with content, without the state and the children's column for the parent."""
    state_fields: tuple[Field, ...]
    lines: Binding | None = None
    lines_navigation: str = ""
    """Collection-valued navigation property from the parent to its lines."""
    parent_navigation: str = ""
    """Single-valued navigation property from a line to its parent."""
    is_created_locked: bool = False
    """SOP mode creates records of this table as Submitted (docs/dataverse.md, "Prices and SOP mode")."""
    born: Mapping[str, int] = field(default_factory=dict)
    """The state in which CRM makes a record."""
    currency: Currency = Currency("", "")
    """The currency of the values."""
    currency_codes: Mapping[str, str] = field(default_factory=dict)
    """The ISO codes of CRM's currencies, by id."""

    @cached_property
    def select(self) -> tuple[str, ...]:
        names = [self.table.id_column, *(field.wire_name for field in (*self.fields, *self.state_fields))]
        if CURRENCY in self.table.attributes:
            names.append(f"_{CURRENCY}_value")
        if self.model.meta.adopt_by and "ownerid" in self.table.attributes:
            names.append("_ownerid_value")
        return tuple(dict.fromkeys(names))

    @property
    def editable_state(self) -> Mapping[str, int]:
        return self.model.meta.state.editable if self.model.meta.state else {}

    @property
    def locked_states(self) -> list[int]:
        return self.model.meta.state.locked if self.model.meta.state else []

    @cached_property
    def state_column(self) -> str:
        return next((field.name for field in self.state_fields if field.attribute.kind == "State"), "")

    @cached_property
    def keys(self) -> tuple[Field, ...]:
        """The columns that make a record's key."""
        return tuple(self._by_name[name] for name in self.model.meta.match_on)

    @property
    def has_plain_key(self) -> bool:
        return self.model.has_plain_key

    @property
    def key(self) -> Field:
        """The first of them."""
        return self.keys[0]

    @cached_property
    def touched(self) -> Field:
        """The column by which a record is written without being changed."""
        return next(
            (field for field in (*self.keys, *self.fields) if field.on_update and not field.navigation), self.key
        )

    @cached_property
    def owner(self) -> Field | None:
        """The look-up whose owner each record is shared with."""
        share = self.model.meta.share_with
        return next((field for field in self.fields if share and field.name == share.owner_of), None)

    @cached_property
    def belongs_to(self) -> Field | None:
        """The look-up that says whom the record belongs to."""
        name = self.model.meta.belongs_to
        return next((field for field in self.fields if field.name == name), None)

    @cached_property
    def new_currency(self) -> Mapping[str, str]:
        """What is sent to give a new record the models' currency, whatever the caller's currency is."""
        attribute = self.table.attributes.get(CURRENCY)
        navigation = self.table.single.get((CURRENCY, CURRENCIES))
        if not (attribute and attribute.creatable and navigation and self.currency.id):
            return {}
        return {f"{navigation}@odata.bind": f"/transactioncurrencies({self.currency.id})"}

    @cached_property
    def on_create(self) -> tuple[Field, ...]:
        return tuple(field for field in self.fields if field.on_create)

    @cached_property
    def creation(self) -> tuple[tuple[str, str, str], ...]:
        """Name, sent name and opening of each column that a new row gets."""
        return tuple((field.name, field.sent_name, field.opening) for field in self.on_create)

    @cached_property
    def update_only(self) -> tuple[Field, ...]:
        return tuple(field for field in self.fields if not field.on_create)

    def same(self, column: str, want: Value, have: Value) -> bool:
        """Whether CRM would store `want` as `have` in this column."""
        field = self._by_name.get(column)
        return want == have if field is None else field.type.same(want, have)

    @cached_property
    def _by_name(self) -> dict[str, Field]:
        return {field.name: field for field in self.fields}


@dataclass(frozen=True)
class Bindings:
    """A top-level model bound to CRM, with a binding for each currency of records."""

    model: Model
    tables: Mapping[str, Table]
    organization: Organization
    mismatches: tuple[Mismatch, ...]
    currency: str
    """The id of the currency of the staged amounts."""
    _by_currency: dict[str, Binding]

    def in_currency(self, currency: str | None) -> Binding:
        """The binding for reading a record that has this currency in CRM."""
        currency = currency or self.currency
        if currency not in self._by_currency:
            self._by_currency[currency] = _bind(self.model, self.tables, self.organization, currency, [])
        return self._by_currency[currency]

    @property
    def base(self) -> Binding:
        return self.in_currency(None)

    @property
    def is_sound(self) -> bool:
        """Whether every column can be sent."""
        return not any(mismatch.fatal for mismatch in self.mismatches)

    def refuse_problems(self) -> None:
        """Raises ContractMismatch if a column cannot be sent."""
        fatal = [mismatch for mismatch in self.mismatches if mismatch.fatal]
        if fatal:
            first = fatal[0]
            more = f" (and {len(fatal) - 1} more)" if len(fatal) > 1 else ""
            raise ContractMismatch(f"{first.model}.{first.column}: {first.text}{more}.", first.remedy)


def tables_needed(models: Iterable[Model]) -> list[str]:
    """All CRM tables that the models write or look up."""
    names: list[str] = []
    for model in models:
        for each in (model, model.children):
            if each:
                names += [each.table, *(column.meta.lookup.table for column in each.columns if column.meta.lookup)]
    return list(dict.fromkeys(names))


def bind(model: Model, tables: Mapping[str, Table], organization: Organization) -> Bindings:
    """Binds a top-level model. What does not fit is in `mismatches`."""
    mismatches: list[Mismatch] = []
    currency = _currency_of(model, organization, mismatches)
    binding = _bind(model, tables, organization, currency, mismatches)
    return Bindings(model, tables, organization, tuple(mismatches), currency, {currency: binding})


def _currency_of(model: Model, organization: Organization, mismatches: list[Mismatch]) -> str:
    """The id of the currency of the model's amounts."""
    code = model.meta.currency.strip().casefold()
    if not code:
        return organization.base_currency
    found = [id_ for id_, its in organization.currency_codes.items() if its.casefold() == code]
    if len(found) == 1:
        return found[0]
    known = ", ".join(sorted(organization.currency_codes.values()))
    text = f"CRM has {len(found) or 'no'} currencies with the ISO code {model.meta.currency!r}"
    mismatches.append(Mismatch(model.name, CURRENCY, text, f"Set currency in meta.crm to one that CRM has: {known}."))
    return organization.base_currency


def _bind(
    model: Model,
    tables: Mapping[str, Table],
    organization: Organization,
    currency: str,
    mismatches: list[Mismatch],
    via: str = "",
) -> Binding:
    table = tables[model.table]
    lines, children = None, model.meta.children
    lines_navigation = parent_navigation = ""
    if children and model.children:
        lines = _bind(model.children, tables, organization, currency, mismatches, children.via)
        lines_navigation = table.collections.get((lines.table.name, children.via), "")
        parent_navigation = lines.table.single.get((children.via, table.name), "")
        if not (lines_navigation and parent_navigation):
            text = f"CRM has no relationship from {lines.table.name}.{children.via} to {table.name}"
            mismatches.append(Mismatch(model.name, children.via, text, "Correct children.via in meta.crm."))
    fields: list[Field] = []
    states: list[Field] = []
    for column in model.sent:
        if column.name != via:
            field = _field(column, model, tables, organization, currency, mismatches)
            if field:
                (states if field.attribute.kind in ("State", "Status") else fields).append(field)
    return Binding(
        model,
        table,
        tuple(fields),
        tuple(states),
        lines,
        lines_navigation,
        parent_navigation,
        is_created_locked=organization.sop_integration and model.meta.sop_mode,
        born=_born(model, organization, mismatches),
        currency=Currency(currency, organization.currency_codes.get(currency, currency)),
        currency_codes=organization.currency_codes,
    )


def _born(model: Model, organization: Organization, mismatches: list[Mismatch]) -> Mapping[str, int]:
    states = model.meta.state
    if states is None or states.born is None:
        return states.editable if states else {}
    born = states.born
    if born.setting is None:
        return born.state
    is_on = organization.settings.get(born.setting)
    if is_on is None:
        text = f"CRM's organisation has no setting {born.setting}"
        mismatches.append(Mismatch(model.name, "state.born", text, "Correct state.born in the model's meta.crm."))
    return born.true if is_on else born.false


def _field(
    column: Column,
    model: Model,
    tables: Mapping[str, Table],
    organization: Organization,
    currency: str,
    mismatches: list[Mismatch],
) -> Field | None:
    """The bound column, or None if it is not sent at all."""

    def mismatch(text: str, remedy: str, fatal: bool = True) -> None:
        mismatches.append(Mismatch(model.name, column.name, text, remedy, fatal))

    table = tables[model.table]
    attribute = table.attributes.get(column.name)
    if attribute is None:
        if column.meta.if_absent == "skip":
            mismatch(
                f"{table.name} has no such column; it is not sent", "Create it in CRM to have it sent.", fatal=False
            )
        else:
            mismatch(f"{table.name} has no such column", "Create it in CRM, or set if_absent: skip in its meta.crm.")
        return None
    if column.meta.computed and not organization.keeps_amounts:
        return None
    if not (attribute.creatable or attribute.updatable):
        mismatch(
            f"{table.name}.{column.name} is read-only in CRM", "Take it out of the model, or rename it to a helper."
        )
        return None
    try:
        kind = type_in_currency(attribute, organization, model.meta.time_zone, currency)
    except UnsupportedType as error:
        mismatch(str(error), "Take it out of the model: columns of this type cannot be sent.")
        return None
    except NoTimeZone as error:
        mismatch(str(error), "State the time zone of GP's dates in the model's meta.crm: time_zone.")
        return None
    mistyped = _mistyped(column, attribute)
    if mistyped:
        mismatch(mistyped, "Cast it in the model to what CRM's column holds.")
        return None
    lookup = column.meta.lookup
    if lookup is None:
        return Field(column, attribute, kind)
    navigation = table.single.get((column.name, lookup.table))
    if navigation is None:
        targets = ", ".join(attribute.targets) or "nothing"
        mismatch(f"it points to {targets}, not to {lookup.table}", "Correct meta.crm.lookup.table.")
        return None
    agreements = tuple(_agreements(lookup, model, Currency(currency, organization.currency_codes.get(currency, ""))))
    read = [
        *((lookup.table, path, "match") for path in lookup.match),
        *((lookup.table, path, "active") for path in lookup.active),
        *((lookup.table, each.path, "agree") for each in agreements),
        *((each.other.table, each.its, "agree") for each in agreements if each.other),
    ]
    for name, path, word in read:
        if not _has_path(path, tables[name]):
            mismatch(f"{name} has no column {path}", f"Create it in CRM, or correct meta.crm.lookup.{word}.")
            return None
    return Field(column, attribute, kind, navigation, tables[lookup.table].entity_set, agreements)


def _agreements(lookup: Lookup, model: Model, currency: Currency) -> Iterator[Agreement]:
    for path, its in lookup.agree.items():
        if its == CURRENCY:
            yield Agreement(path, currency=currency)
        else:
            column, _, step = its.partition(".")
            yield Agreement(path, model.column(column).meta.lookup, step)


def _has_path(path: str, table: Table) -> bool:
    head, dot, _ = path.partition(".")
    return head in table.attributes and (not dot or any(column == head for column, _ in table.single))


_TEXT = ("String", "Memo")
_NUMBER = ("Money", "Decimal", "Double", "Integer", "BigInt", "Picklist", "State", "Status", "Boolean")


def _mistyped(column: Column, attribute: Attribute) -> str | None:
    """Why the staged type can never become the CRM type, if so."""
    staged = column.data_type.lower().partition("(")[0].strip()
    is_lookup = attribute.kind in ("Lookup", "Customer", "Owner", "Uniqueidentifier")
    if is_lookup != (column.meta.lookup is not None):
        return f"CRM's column is a {attribute.kind}" + (
            "; it needs meta.crm.lookup" if is_lookup else ", not a look-up"
        )
    is_text = staged in ("varchar", "nvarchar", "char", "nchar", "text")
    is_date = staged.startswith(("timestamp", "date"))
    if attribute.kind in _NUMBER and (is_text or is_date):
        return f"it is staged as {column.data_type}, but CRM's column is {attribute.kind}"
    if attribute.kind == "DateTime" and not is_date:
        return f"it is staged as {column.data_type}, but CRM's column is {attribute.kind}"
    if attribute.kind in _TEXT and is_date:
        return f"it is staged as {column.data_type}, but CRM's column is {attribute.kind}"
    return None
