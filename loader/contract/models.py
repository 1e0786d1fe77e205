"""The contract as the rest of the loader uses it: models, their columns, and what people call their records. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from loader.contract.words import ColumnMeta, ModelMeta
from loader.keys import KEY_SEPARATOR


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
