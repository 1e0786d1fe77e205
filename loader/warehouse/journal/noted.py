"""Records that are in no trouble, but of which there is something to say: skipped ones, and those with warnings."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from loader.warehouse.journal.records import RecordResult
from loader.warehouse.journal.tables import Tables, keys_of, of_table


class NotedRecords:
    """The rows of sync_noted."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def among(self, table: str, keys: Collection[str]) -> set[str]:
        """Those of these folded keys of which something was said."""
        found = self._tables.among("sync_noted", "match_key", of_table(table), keys)
        return {key for rows in found for row in rows for key in (str(row[0]),) if key in keys}

    def absent(self, table: str) -> list[str]:
        """The keys of the records that are skipped and that CRM does not have."""
        rows = self._tables.query(
            "sync_noted", f"select record_key from {{sync_noted}} where {of_table(table)} and crm_id is null"
        )
        return [str(key) for (key,) in rows]

    def put(self, table: str, results: Mapping[str, RecordResult], said: Collection[str]) -> None:
        """Replaces what was said of these records, by folded key. `said`: of which of them something was."""
        self.forget(table, said)
        self._tables.insert(
            "sync_noted",
            *(
                {
                    "crm_table": table,
                    **keys_of(result.key),
                    "crm_id": result.crm_id,
                    "digest": result.equal.digest if result.equal else None,
                    "line_ids": result.equal.line_ids if result.equal else None,
                    "outcome": result.outcome,
                    "reason": result.reason,
                    "message": result.message,
                    "warnings": ",".join(sorted({str(each["code"]) for each in result.warnings})) or None,
                }
                for result in results.values()
                if result.is_noted
            ),
        )

    def forget(self, table: str, keys: Collection[str]) -> None:
        """Has these records, by folded key, compared when they are next staged."""
        for condition, params in self._tables.warehouse.matching("match_key", sorted(keys)):
            self._tables.execute(f"delete from {{sync_noted}} where crm_table = ? and {condition}", [table, *params])
