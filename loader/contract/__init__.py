"""What dbt's manifest says about CRM: every model with `meta.crm` is one CRM table (docs/contract.md)."""

from loader.contract.manifest import JOURNAL_TABLES, read_contract
from loader.contract.models import Column, Contract, Model, SeedOptions
from loader.contract.words import CURRENCY, ColumnMeta, Lookup, OnMissing, StateAction, Xref

__all__ = [
    "CURRENCY",
    "JOURNAL_TABLES",
    "Column",
    "ColumnMeta",
    "Contract",
    "Lookup",
    "Model",
    "OnMissing",
    "SeedOptions",
    "StateAction",
    "Xref",
    "read_contract",
]
