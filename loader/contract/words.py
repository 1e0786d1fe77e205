"""What `meta.crm` in the models' YAML may say, and which of its words go together (docs/contract.md). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from string import Formatter
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator, model_validator

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


def settle_reads(lookups: Mapping[str, Lookup]) -> None:
    """Tells each look-up of a model, by its column, what to read of its rows for itself and for the others."""
    reads: dict[str, list[str]] = {name: [*lookup.active, *lookup.agree] for name, lookup in lookups.items()}
    for lookup in lookups.values():
        for path in lookup.agree.values():
            name, dot, step = path.partition(".")
            if dot:
                reads[name].append(step)
    for name, lookup in lookups.items():
        lookup._reads = tuple(dict.fromkeys(reads[name]))
