"""What a run leaves behind, to be compared with what another one leaves: CRM's rows and the journal's truths.

Business keys stand for ids, because rows that two runs create have ids of their own; times and run ids are left out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from emulator import Emulator
from emulator.store import SEQUENCE, VERSION, Deleted, Ref, Row
from loader.warehouse.connection import Warehouse

JOURNAL = "main_journal"
TIMES = {"createdon", "modifiedon", "changedon", "actualend"}
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
NUMBERS = ("accountnumber", "productnumber", "invoicenumber", "ordernumber", "lineitemnumber", "fullname")

Picture: TypeAlias = dict[str, Counter[str]]
"""What is compared → each of its rows, as text."""

TRUTHS = {
    "crm_xref": (
        "select crm_table, match_key, crm_id, shared_with, not_shared_with, is_closed, last_pushed_at is null"
        " from {journal}.crm_xref"
    ),
    "retry_queue": (
        "select crm_table, match_key, reason, message, missing, attempts, state, resolution from {journal}.retry_queue"
    ),
    "outcomes": (
        "select crm_table, match_key, crm_id, action, outcome, reason, message, changes, warnings"
        " from {journal}.sync_event where run_id = '{run_id}' and outcome not in ('unchanged', 'skipped')"
    ),
    "what was said last": (
        "select crm_table, match_key, crm_id, action, event.outcome, reason, event.message, changes, warnings"
        " from {journal}.sync_event as event left join {journal}.sync_run using (run_id)"
        " qualify row_number() over (partition by crm_table, match_key order by run_no desc, event_no desc) = 1"
    ),
    "sync_noted": ("select crm_table, match_key, crm_id, outcome, reason, message, warnings from {journal}.sync_noted"),
    "counts": (
        "select staged, created, updated, unchanged, skipped, blocked, failed, lines_created, lines_updated,"
        " lines_deleted, outcome, message from {journal}.sync_run where run_id = '{run_id}'"
    ),
    "audit_record_status": (
        "select crm_table, record_key, title, amount, is_staged, in_crm, crm_id, status, reason, message, attempts,"
        " queue_state from audit_record_status"
    ),
    "audit_missing_references": "select * exclude (waiting_since, last_failed_at) from audit_missing_references",
}


def picture(crm: Emulator, warehouse: Warehouse, run_id: str) -> Picture:
    """CRM's rows by table, and the journal's truths after this run."""
    with crm.lock:
        names = _names(crm)
        seen: Picture = {
            f"CRM {table}": Counter(_told(row, crm.id_column(table), names) for row in data.rows.values())
            for table, data in crm.store.tables.items()
            if data.rows
        }
    for what, select in TRUTHS.items():
        rows = warehouse.query(select.format(journal=JOURNAL, run_id=run_id))
        seen[what] = Counter(_named(repr(tuple(map(_plain, row))), names) for row in rows)
    return seen


def differences(one: Picture, other: Picture) -> list[str]:
    """Each row that only one of the two has."""
    return [
        f"{what}: only {who} has {row}"
        for what in sorted(one.keys() | other.keys())
        for who, more, less in (("the first", one, other), ("the second", other, one))
        for row in (more.get(what, Counter()) - less.get(what, Counter())).elements()
    ]


def _names(crm: Emulator) -> dict[str, str]:
    """Id → table and business key of the row."""
    found: dict[str, str] = {}
    for table, data in sorted(crm.store.tables.items(), reverse=True):  # users have the ids of their settings
        column = crm.schema.tables[table].name_column
        for id_, row in data.rows.items():
            told = [str(row[name]) for name in dict.fromkeys((column, *NUMBERS)) if row.get(name) is not None]
            found[id_] = f"<{table} {' '.join(told)}>"
    return found


def _told(row: Row, id_column: str, names: Mapping[str, str]) -> str:
    left_out = {id_column, VERSION, SEQUENCE, *TIMES}
    values = {
        name: names.get(value.id, f"<no {value.table}>") if isinstance(value, Ref) else _plain(value)
        for name, value in row.items()
        if name not in left_out and value is not None
    }
    return _named(repr(sorted(values.items())), names)


def _plain(value: Any) -> object:
    return value.normalize() if hasattr(value, "normalize") else value


def _named(text: str, names: Mapping[str, str]) -> str:
    return ID.sub(lambda id_: names.get(id_[0].lower(), "<gone>"), text)


# ---------------------------------------------------------------------------------------------------- copies of it all


@dataclass(frozen=True)
class KeptCrm:
    """CRM's rows as they were, and since when it tells what was deleted."""

    rows: dict[str, dict[str, Row]]
    deleted: dict[str, list[Deleted]]
    version: int
    sequence: int
    expired: int


def keep_crm(crm: Emulator) -> KeptCrm:
    with crm.lock:
        tables, store = crm.store.tables, crm.store
        return KeptCrm(
            {name: dict(data.rows) for name, data in tables.items()},
            {name: list(data.deleted) for name, data in tables.items()},
            store.version,
            store.sequence,
            crm.queries.expired,
        )


def put_back_crm(crm: Emulator, kept: KeptCrm) -> None:
    with crm.lock:
        for name, data in crm.store.tables.items():
            data.rows, data.deleted = dict(kept.rows[name]), list(kept.deleted[name])
            data._indexes.clear()
            data._sorted = False
        crm.store.version, crm.store.sequence, crm.queries.expired = kept.version, kept.sequence, kept.expired


def keep(crm: Emulator, warehouse: Warehouse) -> KeptCrm:
    """Copies CRM and, within the warehouse, the journal. A warehouse has room for one copy of its journal."""
    warehouse.execute("create schema if not exists kept")
    for table in _tables(warehouse, "kept"):
        warehouse.execute(f"drop table kept.{table}")
    for table in _tables(warehouse, JOURNAL):
        warehouse.execute(f"create table kept.{table} as from {JOURNAL}.{table}")
    return keep_crm(crm)


def go_back(crm: Emulator, warehouse: Warehouse, kept: KeptCrm) -> None:
    """Puts the copies in the places of what they are copies of."""
    there = set(_tables(warehouse, JOURNAL))
    for table in _tables(warehouse, "kept"):
        warehouse.execute(f"create or replace table {JOURNAL}.{table} as from kept.{table}")
        there.discard(table)
    for table in there:
        warehouse.execute(f"drop table {JOURNAL}.{table}")
    put_back_crm(crm, kept)


def _tables(warehouse: Warehouse, schema: str) -> Iterator[str]:
    rows = warehouse.query(
        "select table_name from information_schema.tables where table_schema = ? and table_type = 'BASE TABLE'"
        " order by table_name",
        [schema],
    )
    return iter([str(name) for (name,) in rows])
