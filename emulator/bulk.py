"""Many records in one request: CreateMultiple, UpdateMultiple, UpsertMultiple and BulkDelete."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

from .callers import Caller
from .errors import CrmError, bad_payload, bad_request, not_implemented
from .metadata import Table
from .parameters import Json, Refs
from .records import Records
from .references import no_record_by_key
from .store import Value
from .values import GUID


class Bulk:
    def __init__(self, records: Records) -> None:
        self.records = records
        self.schema = records.schema
        self.store = records.store

    def _targets(self, table: Table, body: Json) -> list[Json]:
        targets = body.get("Targets")
        if set(body) - {"Targets"} or not isinstance(targets, list):
            raise bad_payload(table.entity_set, "The action has one parameter, 'Targets', a list of records.")
        for target in targets:
            if not isinstance(target, dict) or target.get("@odata.type", "").lstrip("#") != table.full_name:
                raise bad_payload(table.entity_set, f"Every target needs '@odata.type': '{table.full_name}'.")
        return targets

    def create_multiple(self, table: Table, body: Json, caller: Caller, refs: Refs) -> Json:
        return {
            "@odata.context": "",
            "Ids": [self.records.create(table, target, caller, refs) for target in self._targets(table, body)],
        }

    def _addressed(self, table: Table, target: Json) -> tuple[str | None, dict[str, Value]]:
        """The row that a target of Update- or UpsertMultiple means."""
        address = target.get("@odata.id")
        if isinstance(address, str):
            match = re.search(r"\((.*)\)\s*$", address)
            if not match:
                raise bad_payload(table.entity_set, f"'{address}' does not name a record.")
            return self.records.references.resolve(table, match.group(1), in_url=False)
        own = target.get(table.id_column)
        if own is None:
            raise CrmError(400, "0x80040203", f"Every target needs '{table.id_column}' or '@odata.id'.")
        if not isinstance(own, str) or not GUID.fullmatch(own):
            raise bad_payload(table.entity_set, f"Cannot convert the literal '{own}' to the expected type 'Edm.Guid'.")
        return own.lower(), {}

    def update_multiple(self, table: Table, body: Json, caller: Caller, refs: Refs) -> None:
        for target in self._targets(table, body):
            row_id, _ = self._addressed(table, target)
            if row_id is None:
                raise no_record_by_key(table)
            self.records.update(table, row_id, target, caller, refs)

    def upsert_multiple(self, table: Table, body: Json, caller: Caller, refs: Refs) -> None:
        for target in self._targets(table, body):
            row_id, key = self._addressed(table, target)
            if row_id is not None and self.store.get(table.name, row_id) is not None:
                self.records.update(table, row_id, target, caller, refs)
                continue
            doubled = [column for column in key if column in target]
            if doubled:
                raise CrmError(
                    400,
                    "0x80040203",
                    f"The key column '{doubled[0]}' is in '@odata.id' and in the body: leave it out of the body.",
                )
            self.records.create(table, target, caller, refs, given=key, record_id=row_id)

    def delete_multiple(self, table: Table, body: Json, caller: Caller, refs: Refs) -> None:
        raise CrmError(501, "0x80040203", "DeleteMultiple has not yet been implemented.")

    def bulk_delete(self, body: Json, caller: Caller, refs: Refs) -> Json:
        """On the real service, a background job. Here it is done before the reply, and skips rows it cannot delete."""
        try:
            wanted = [pair for query in body["QuerySet"] for pair in self._bulk_ids(query)]  # type: ignore[attr-defined]
        except (AttributeError, KeyError, TypeError):
            raise bad_payload("BulkDelete", "'QuerySet' is not a list of query expressions.") from None
        for table, row_id in wanted:
            try:
                with self.store.transaction():
                    self.records.delete(table, row_id, caller)
            except CrmError:
                continue
        return {"JobId": str(uuid4())}

    def _bulk_ids(self, query: Mapping[str, Any]) -> Iterator[tuple[Table, str]]:
        table = self.schema.tables.get(str(query.get("EntityName")))
        if table is None:
            raise bad_request(f"The table '{query.get('EntityName')}' does not exist.", "0x80041102")
        for condition in query["Criteria"]["Conditions"]:
            if condition["AttributeName"] != table.id_column or condition["Operator"] not in ("In", "Equal"):
                raise not_implemented("BulkDelete by another column than the primary key")
            for value in condition["Values"]:
                yield table, str(value["Value"] if isinstance(value, Mapping) else value).lower()
