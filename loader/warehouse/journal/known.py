"""Which CRM record belongs to which key, and with whom that record is shared."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from loader.keys import fold
from loader.warehouse.journal.records import ByKey, KnownRecord, OrderResult
from loader.warehouse.journal.tables import Tables, keys_of, of_table

_COLUMNS = "record_key, crm_id, first_pushed_at, last_pushed_at, shared_with, run_id, not_shared_with, is_closed"


class KnownRecords:
    """The rows of crm_xref. (The seeds called xref_* are something else: translations of codes.)"""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def entries(self, table: str) -> Mapping[str, KnownRecord]:
        """The known CRM record of every key."""
        rows = self._tables.query("crm_xref", f"select {_COLUMNS} from {{crm_xref}} where crm_table = ?", [table])
        return ByKey((str(row[0]), _from_row(row)) for row in rows)

    def latest(self, table: str, limit: int) -> list[KnownRecord]:
        """The records that were written last, newest first."""
        rows = self._tables.query(
            "crm_xref",
            self._tables.limited(
                f"select {_COLUMNS} from {{crm_xref}} where crm_table = ?"
                " order by coalesce(last_pushed_at, cast('1900-01-01' as date)) desc, record_key",
                limit,
            ),
            [table],
        )
        return [_from_row(row) for row in rows]

    def known_keys(self, table: str, among: Collection[str]) -> set[str]:
        """The folded keys of known records that are `among` these."""
        found = self._tables.among("crm_xref", "record_key", of_table(table), among)
        return {key for rows in found for key in (fold(str(row[0])) for row in rows) if key in among}

    def close(self, table: str, keys: Collection[str]) -> None:
        """Records that CRM has closed these records."""
        for condition, params in self._tables.warehouse.matching("match_key", sorted(map(fold, keys))):
            self._tables.execute(
                f"update {{crm_xref}} set is_closed = 1 where crm_table = ? and {condition}", [table, *params]
            )

    def put(self, table: str, results: Mapping[str, OrderResult], run_id: str, now: dt.datetime) -> None:
        """Records the ids of the records that are in CRM, if these, the shares or the closing are new."""
        known_ids = [
            result
            for result in results.values()
            if result.crm_id and (result.outcome in ("created", "updated", "unchanged") or result.is_closed)
        ]
        if not known_ids:
            return
        known: dict[str, KnownRecord] = {}
        keys = sorted(fold(result.key) for result in known_ids)
        for condition, params in self._tables.warehouse.matching("match_key", keys):
            for row in self._tables.query(
                "crm_xref",
                f"select {_COLUMNS} from {{crm_xref}} where crm_table = ? and {condition}",
                [table, *params],
            ):
                known[fold(str(row[0]))] = _from_row(row)
        changed: list[KnownRecord] = []
        replaced: list[str] = []
        for result in known_ids:
            before = known.get(fold(result.key))
            if before is None and result.outcome == "skipped":
                continue
            after = _known_record(result, before, run_id, now)
            if after != before:
                changed.append(after)
                replaced += [before.key] if before else []
        for condition, params in self._tables.warehouse.matching("match_key", map(fold, replaced)):
            self._tables.execute(f"delete from {{crm_xref}} where crm_table = ? and {condition}", [table, *params])
        self._tables.insert("crm_xref", *({"crm_table": table, **keys_of(e.key), **_without_key(e)} for e in changed))


def _known_record(result: OrderResult, before: KnownRecord | None, run_id: str, now: dt.datetime) -> KnownRecord:
    assert result.crm_id is not None
    if before is None or before.crm_id.lower() != result.crm_id.lower():
        # Known for the first time, or created again after somebody deleted it together with its share.
        pushed_at = now if result.pushed else None
        first = before.first_pushed_at if before else None
        key = before.key if before else result.key
        now_shared, refused = result.shared_with, result.not_shared_with
        return KnownRecord(
            key, result.crm_id, first or pushed_at, pushed_at, now_shared, run_id, refused, result.is_closed
        )
    if result.pushed:
        before = replace(before, first_pushed_at=before.first_pushed_at or now, last_pushed_at=now, run_id=run_id)
    if result.shared_with and result.shared_with != before.shared_with:
        before = replace(before, shared_with=result.shared_with, not_shared_with=None, run_id=run_id)
    elif result.not_shared_with and result.not_shared_with != before.not_shared_with:
        before = replace(before, not_shared_with=result.not_shared_with, run_id=run_id)
    return replace(before, is_closed=result.is_closed)


def _from_row(row: Sequence[Any]) -> KnownRecord:
    return replace(KnownRecord(*row), is_closed=bool(row[-1]))


def _without_key(entry: KnownRecord) -> dict[str, object]:
    values = {name: value for name, value in vars(entry).items() if name != "key"}
    return {**values, "is_closed": int(entry.is_closed)}
