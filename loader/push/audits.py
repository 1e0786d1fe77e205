"""Rows of the audit models. Commands and the report get their figures on the journal and the staged rows here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from decimal import Decimal
from typing import Any, TypeAlias

from loader.context import Context
from loader.contract import Model
from loader.keys import fold, folded
from loader.warehouse.connection import StatementRefused, columns_of, limited, quoted
from loader.warehouse.journal import RunCounts, RunRecord, run_record

Rows = list[dict[str, Any]]
_STATUS = "audit_record_status"
_RUNS = "audit_run_history"


def rows_of(context: Context, audit: str, where: str = "", params: Sequence[object] = ()) -> Rows:
    """All columns of these rows of an audit model; no rows if the model is not built."""
    relation = context.contract.relations.get(audit)
    names = columns_of(context.warehouse, relation) if relation else []
    return _select(context, audit, names, where, params) if names else []


def rows_of_record(
    context: Context, audit: str, model: Model, key: str, where: str = "", params: Sequence[object] = ()
) -> Rows:
    """The same for one record."""
    relation = context.contract.relations.get(audit)
    names = columns_of(context.warehouse, relation) if relation else []
    number = next((name for name in ("record_key", f"{model.noun}_number") if name in names), None)
    if number is None:
        return []
    conditions, values = [f"{folded(quoted(number), context.warehouse.dialect)} = ?"], [fold(key)]
    if "crm_table" in names:
        conditions.append(f"{quoted('crm_table')} = ?")
        values.append(model.table)
    conditions += [where] if where else []
    return _select(context, audit, names, " and ".join(conditions), [*values, *params])


About: TypeAlias = "tuple[str | None, Decimal | None, str | None]"
"""A record's title, its amount and its id in CRM."""


def about(context: Context, records: Iterable[tuple[str, str]]) -> dict[tuple[str, str], About]:
    """What is known of staged records, by (table, key as it is compared)."""
    relation = _built(context, _STATUS)
    found: dict[tuple[str, str], About] = {}
    if relation is None:
        return found
    key = folded(quoted("record_key"), context.warehouse.dialect)
    for condition, params in context.warehouse.matching(key, sorted({fold(each) for _, each in records})):
        sql = f"select crm_table, record_key, title, amount, crm_id from {relation} where {condition}"
        for table, record, title, amount, crm_id in context.warehouse.query(sql, params):
            money = None if amount is None else Decimal(str(amount))
            texts = [None if each is None else str(each) for each in (title, crm_id)]
            found[str(table), fold(str(record))] = (texts[0], money, texts[1])
    return found


def money_waiting(context: Context, tables: Sequence[str] = ()) -> dict[str, Decimal]:
    """The money of the open entries of the retry queue by CRM table, of all tables or of these.

    Empty where the views cannot be read, so that the state of the runs is told even after a build that failed.
    """
    relation = _built(context, _STATUS)
    if relation is None:
        return {}
    of_tables = f" and crm_table in ({', '.join('?' * len(tables))})" if tables else ""
    sql = f"select crm_table, sum(amount) from {relation} where queue_state = 'open'{of_tables} group by crm_table"
    try:
        rows = context.warehouse.query(sql, list(tables))
    except StatementRefused:
        return {}
    return {str(table): Decimal(str(amount)) for table, amount in rows if amount}


def sum_of(amounts: Mapping[str, Decimal]) -> Decimal:
    """The money of all the tables together."""
    return sum(amounts.values(), Decimal(0))


def latest_runs(context: Context, number: int) -> list[RunRecord]:
    """The latest runs, newest first: from audit_run_history, or from the journal until `dbt build` has made that."""
    names = [each.name for kind in (RunRecord, RunCounts) for each in fields(kind) if each.name != "counts"]
    relation = _built(context, _RUNS)
    if relation is None or not set(names) <= set(columns_of(context.warehouse, relation)):
        return context.journal.runs(number)
    columns = ", ".join(map(quoted, names))
    sql = f"select {columns} from {relation} order by {quoted('run_number')}"
    rows = context.warehouse.query(limited(sql, number, context.warehouse.dialect))
    return context.journal.settled([run_record(dict(zip(names, row, strict=True))) for row in rows])


def _built(context: Context, audit: str) -> str | None:
    relation = context.contract.relations.get(audit)
    return relation if relation and columns_of(context.warehouse, relation) else None


def _select(context: Context, audit: str, names: Sequence[str], where: str, params: Sequence[object]) -> Rows:
    columns = ", ".join(map(quoted, names))
    sql = f"select {columns} from {context.contract.relations[audit]}" + (f" where {where}" if where else "")
    return [dict(zip(names, row, strict=True)) for row in context.warehouse.query(sql, params)]
