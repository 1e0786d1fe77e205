"""A journal that version 2 wrote: it had no digests, so its records are known, and every one of them is compared."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

from loader.warehouse.connection import Warehouse
from loader.warehouse.journal import SCHEMA_VERSION, Journal, State
from tests.warehouse.warehouse_places import NOW, Place, StoppedClock

WRITTEN: dict[str, list[dict[str, Any]]] = json.loads(
    Path(__file__).with_name("journal_version_2.json").read_text(encoding="utf-8")
)


def test_what_version_2_wrote_is_kept_and_gets_what_it_lacks(place: Place, warehouse: Warehouse) -> None:
    warehouse.execute(f'create schema "{place.schema}"')
    for name, rows in WRITTEN.items():
        table = place.tables[name]
        columns = [(column, kind) for column, kind in table.columns if column in rows[0]]
        declared = ", ".join(f"{column} {kind}" for column, kind in columns)
        warehouse.execute(f"create table {table.relation} ({declared})")
        warehouse.insert(
            table.relation,
            columns,
            [
                tuple(
                    dt.datetime.fromisoformat(row[column]) if column.endswith("_at") and row[column] else row[column]
                    for column, _ in columns
                )
                for row in rows
            ],
        )
    journal = Journal(warehouse, place.tables, StoppedClock(NOW))
    keys = {table: list(journal.known_records(table)) for table in ("salesorder", "invoice")}
    assert sum(map(len, keys.values())) == len(WRITTEN["crm_xref"])
    assert journal.known_rows("salesorder") is None, "nothing is compared by digests before"
    assert journal.state() == State()
    journal.prepare()
    assert {table: list(journal.known_records(table)) for table in keys} == keys
    assert journal.known_keys("invoice", {"inv1"}) == {"inv1": None}
    assert journal.known_rows("salesorder") is not None
    assert journal.witnesses() == {}
    assert len(journal.queue()) == 1
    assert journal.state() == State()
    (latest, *_) = warehouse.query(f"select max(schema_version) from {place.tables['sync_run'].relation}")[0]
    assert latest == 2
    assert SCHEMA_VERSION == 3
