"""Which CRM record belongs to which key, and with whom that record is shared."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from loader.keys import fold, folded
from loader.warehouse.journal.records import ByKey, Equal, KnownRecord, RecordResult
from loader.warehouse.journal.tables import Tables, keys_of, of_table

_COLUMNS = (
    "record_key",
    "crm_id",
    "first_pushed_at",
    "last_pushed_at",
    "shared_with",
    "run_id",
    "not_shared_with",
    "is_closed",
    "digest",
    "line_ids",
)
_EQUAL = ("digest", "line_ids")
_LATER = ("not_shared_with", "is_closed", "digest", "line_ids")
"""Columns that the journal of an older loader may lack until a run has prepared it."""


class KnownRecords:
    """The rows of crm_xref. (The seeds called xref_* are something else: translations of codes.)"""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def entries(
        self, table: str, ids: Collection[str] | None = None, keys: Collection[str] | None = None
    ) -> Mapping[str, KnownRecord]:
        """The known CRM record of every key; of these CRM ids, in small letters; or of these folded keys."""
        select = f"select {self._columns()} from {{crm_xref}} where crm_table = ?"
        parts: Iterable[tuple[str, list[object]]] = [("1 = 1", [])]
        if ids is not None:
            parts = self._tables.warehouse.matching("lower(crm_id)", sorted(ids))
        elif keys is not None:
            parts = self._tables.warehouse.matching("match_key", sorted(keys))
        rows = [
            row
            for condition, params in parts
            for row in self._tables.query("crm_xref", f"{select} and {condition}", [table, *params])
        ]
        return ByKey((str(row[0]), _from_row(row)) for row in rows)

    def latest(self, table: str, limit: int) -> list[KnownRecord]:
        """The records that were written last, newest first."""
        rows = self._tables.query(
            "crm_xref",
            self._tables.limited(
                f"select {self._columns()} from {{crm_xref}} where crm_table = ?"
                " order by coalesce(last_pushed_at, cast('1900-01-01' as date)) desc, record_key",
                limit,
            ),
            [table],
        )
        return [_from_row(row) for row in rows]

    def known_keys(self, table: str, among: Collection[str]) -> dict[str, Equal | None]:
        """The folded keys of known records that are `among` these, each with what it was last found equal with."""
        found = self._tables.among(
            "crm_xref", f"record_key, {self._columns('digest', 'line_ids')}", of_table(table), among
        )
        return {key: _equal(*row[1:]) for rows in found for row in rows for key in (fold(str(row[0])),) if key in among}

    def ids(self, table: str) -> frozenset[str]:
        """The CRM ids of all known records, in small letters."""
        rows = self._tables.query("crm_xref", "select crm_id from {crm_xref} where crm_table = ?", [table])
        return frozenset([str(crm_id).lower() for (crm_id,) in rows])

    def open_keys(self, table: str) -> list[str]:
        """The keys of the known records that are not known as closed in CRM."""
        rows = self._tables.query(
            "crm_xref", "select record_key from {crm_xref} where crm_table = ? and coalesce(is_closed, 0) = 0", [table]
        )
        return [str(key) for (key,) in rows]

    def keys(self, table: str) -> frozenset[str]:
        """The folded keys of all known records."""
        rows = self._tables.query("crm_xref", "select record_key from {crm_xref} where crm_table = ?", [table])
        return frozenset([fold(str(key)) for (key,) in rows])

    def witnesses(self) -> dict[str, str]:
        """By table, the CRM id of the record that was written last of those that were found equal to CRM's since."""
        last = "coalesce(last_pushed_at, cast('1900-01-01' as date)) desc, record_key"
        rows = self._tables.query(
            "crm_xref",
            "select crm_table, crm_id from (select crm_table, crm_id,"
            f" row_number() over (partition by crm_table order by {last}) as place"
            " from {crm_xref} where digest is not null) as equal where place = 1",
        )
        return {str(table): str(id_) for table, id_ in rows}

    def shares(self, table: str) -> dict[str, tuple[str | None, str | None]]:
        """CRM id → with whom the record was shared, and with whom CRM refused to share it; only where there is one."""
        refused = self._columns("not_shared_with")
        rows = self._tables.query(
            "crm_xref",
            f"select crm_id, shared_with, {refused} from {{crm_xref}} where crm_table = ?"
            f" and coalesce(shared_with, {refused}) is not null",
            [table],
        )
        return {str(crm_id).lower(): (shared, refused) for crm_id, shared, refused in rows}  # type: ignore[misc]

    def rows(self, table: str) -> str | None:
        """A select of what the records of a table were compared with; None where the journal has no digests yet."""
        if not self._tables.exists("sync_noted"):
            return None
        ours = "coalesce(noted.{0}, known.{0}) as {0}"
        columns = [ours.format(name) for name in ("match_key", "crm_id", "digest", "line_ids")]
        columns += [f"noted.{name}" for name in ("outcome", "reason", "message", "warnings")]
        of, dialect = f"where {of_table(table)}", self._tables.warehouse.dialect
        return self._tables.sql(
            f"select {', '.join(columns)} from (select * from {{crm_xref}} {of}) as known"
            f" full outer join (select * from {{sync_noted}} {of}) as noted"
            f" on {folded('known.match_key', dialect)} = {folded('noted.match_key', dialect)}"
        )

    def forget_equal(self, table: str, keys: Collection[str]) -> None:
        """Forgets with what the records with these folded keys were compared."""
        for condition, params in self._tables.warehouse.matching("match_key", sorted(keys)):
            self._tables.execute(
                f"update {{crm_xref}} set digest = null, line_ids = null where crm_table = ? and {condition}",
                [table, *params],
            )

    def _columns(self, *names: str) -> str:
        """The columns of a statement, null for those that the table does not have yet."""
        present = self._tables.columns(self._tables.known["crm_xref"])
        return ", ".join(name if name in present or name not in _LATER else "null" for name in names or _COLUMNS)

    def close(self, table: str, keys: Collection[str]) -> None:
        """Records that CRM has closed these records."""
        for condition, params in self._tables.warehouse.matching("match_key", sorted(map(fold, keys))):
            self._tables.execute(
                f"update {{crm_xref}} set is_closed = 1 where crm_table = ? and {condition}", [table, *params]
            )

    def put(self, table: str, results: Mapping[str, RecordResult], run_id: str, now: dt.datetime) -> None:
        """Records the ids of the records that are in CRM, the shares, what was closed, and what was found equal."""
        known: dict[str, KnownRecord] = {}
        for condition, params in self._tables.warehouse.matching("match_key", sorted(map(fold, results))):
            for row in self._tables.query(
                "crm_xref",
                f"select {', '.join(_COLUMNS)} from {{crm_xref}} where crm_table = ? and {condition}",
                [table, *params],
            ):
                known[fold(str(row[0]))] = _from_row(row)
        changed: list[KnownRecord] = []
        replaced: list[str] = []
        for result in results.values():
            before = known.get(fold(result.key))
            after = before
            if result.crm_id and (result.outcome in ("created", "updated", "unchanged") or result.is_closed):
                if before is None and result.outcome == "skipped":
                    continue
                after = _known_record(result, before, run_id, now)
            if after is None:
                continue
            after = replace(after, equal=None if result.is_noted else result.equal)
            if after != before:
                changed.append(after)
                replaced += [before.key] if before else []
        for condition, params in self._tables.warehouse.matching("match_key", map(fold, replaced)):
            self._tables.execute(f"delete from {{crm_xref}} where crm_table = ? and {condition}", [table, *params])
        self._tables.insert("crm_xref", *({"crm_table": table, **keys_of(e.key), **_without_key(e)} for e in changed))


def _known_record(result: RecordResult, before: KnownRecord | None, run_id: str, now: dt.datetime) -> KnownRecord:
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
    key, crm_id, first, last, shared, run_id, refused, is_closed, digest, line_ids = row
    return KnownRecord(key, crm_id, first, last, shared, run_id, refused, bool(is_closed), _equal(digest, line_ids))


def _equal(digest: Any, line_ids: Any) -> Equal | None:
    return Equal(str(digest), str(line_ids or "")) if digest else None


def _without_key(entry: KnownRecord) -> dict[str, object]:
    values = {name: value for name, value in vars(entry).items() if name not in ("key", "equal")}
    equal = {"digest": entry.equal.digest, "line_ids": entry.equal.line_ids} if entry.equal else dict.fromkeys(_EQUAL)
    return {**values, "is_closed": int(entry.is_closed), **equal}
