"""Rows of the audit models: what commands and the report tell of the journal and of what is staged, they ask here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from loader.contract import Model
from loader.keys import fold, folded
from loader.run import Run
from loader.warehouse.connection import columns_of, quoted

Rows = list[dict[str, Any]]


def rows_of(run: Run, audit: str, where: str = "", params: Sequence[object] = ()) -> Rows:
    """All columns of these rows of an audit model; none where it is not built."""
    relation = run.contract.relations.get(audit)
    names = columns_of(run.warehouse, relation) if relation else []
    return _select(run, audit, names, where, params) if names else []


def rows_of_record(
    run: Run, audit: str, model: Model, key: str, where: str = "", params: Sequence[object] = ()
) -> Rows:
    """The same, of one record."""
    relation = run.contract.relations.get(audit)
    names = columns_of(run.warehouse, relation) if relation else []
    number = next((name for name in ("record_key", f"{model.noun}_number") if name in names), None)
    if number is None:
        return []
    conditions, values = [f"{folded(quoted(number), run.warehouse.dialect)} = ?"], [fold(key)]
    if "crm_table" in names:
        conditions.append(f"{quoted('crm_table')} = ?")
        values.append(model.table)
    conditions += [where] if where else []
    return _select(run, audit, names, " and ".join(conditions), [*values, *params])


def _select(run: Run, audit: str, names: Sequence[str], where: str, params: Sequence[object]) -> Rows:
    columns = ", ".join(map(quoted, names))
    sql = f"select {columns} from {run.contract.relations[audit]}" + (f" where {where}" if where else "")
    return [dict(zip(names, row, strict=True)) for row in run.warehouse.query(sql, params)]
