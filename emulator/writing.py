"""Creating, changing and deleting one record over HTTP: preconditions, upsert, and what is answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .errors import duplicate_record, not_found, stale_version
from .messages import Asked, Reply, etag, etag_matches, json_reply, no_content
from .metadata import Table
from .query import Queries, headers_of, parse_options, parse_prefer
from .records import Records
from .references import no_record_by_key
from .store import Ref, Row, Value


class Writing:
    """POST, PATCH, PUT and DELETE."""

    def __init__(self, records: Records, queries: Queries, api_url: Callable[[], str]) -> None:
        self.records = records
        self.queries = queries
        self.store = records.store
        self.api_url = api_url

    def url(self, table: Table, row_id: str) -> str:
        return f"{self.api_url()}{table.entity_set}({row_id})"

    def create(self, asked: Asked, table: Table, given: Mapping[str, Value] | None = None) -> Reply:
        body = asked.operation.json(table.entity_set)
        row_id = self.records.create(table, body, asked.caller, asked.refs, given=given)
        return self._written(asked, table, row_id, True, self.url(table, row_id))

    def upsert(self, asked: Asked, table: Table, key: str) -> Reply:
        row_id, given = self.records.references.resolve(table, key)
        row = self.store.get(table.name, row_id) if row_id is not None else None
        url = f"{self.api_url()}{table.entity_set}({key})" if given else self.url(table, str(row_id))
        if row is not None:
            assert row_id is not None
            return self.update(asked, table, row_id, row, url)
        if asked.header("if-match") is not None:
            raise no_record_by_key(table) if row_id is None else not_found(table.name, row_id)
        body = asked.operation.json(table.entity_set)
        created = self.records.create(table, body, asked.caller, asked.refs, given=given, record_id=row_id)
        return self._written(asked, table, created, True, url)

    def update(self, asked: Asked, table: Table, row_id: str, row: Row, url: str | None = None) -> Reply:
        if (asked.header("if-none-match") or "").strip() == "*":
            raise duplicate_record()
        self.set(asked, table, row_id, row, asked.operation.json(table.entity_set))
        return self._written(asked, table, row_id, False, url or self.url(table, row_id))

    def set(self, asked: Asked, table: Table, row_id: str, row: Row, values: Mapping[str, object]) -> Reply:
        """Change some columns of a record, unless If-Match names another version of it."""
        self.check_if_match(asked, row)
        self.records.update(table, row_id, values, asked.caller, asked.refs)
        return no_content()

    def delete(self, asked: Asked, table: Table, row_id: str, row: Row) -> Reply:
        self.check_if_match(asked, row)
        self.records.delete(table, row_id, asked.caller)
        return no_content()

    def check_if_match(self, asked: Asked, row: Row) -> None:
        wanted = asked.header("if-match")
        if wanted is not None and wanted.strip() != "*" and not etag_matches(wanted, row):
            raise stale_version()

    def _written(self, asked: Asked, table: Table, row_id: str, created: bool, url: str) -> Reply:
        prefer = parse_prefer(asked.header("prefer") or "")
        headers = {"OData-Version": "4.0", "OData-EntityId": url}
        if asked.operation.in_change_set and created:
            headers["Location"] = url
        if not prefer.representation:
            return Reply(204, headers, created=Ref(table.name, row_id))
        row = self.store.get(table.name, row_id)
        assert row is not None
        options = parse_options(asked.pairs, frozenset({"$select", "$expand"}))
        options.expand = []
        answer = self.queries.record(table, row, options, prefer)
        reply = json_reply(answer, 201 if created else 200, {**headers, "ETag": etag(row), **headers_of(prefer)})
        reply.created = Ref(table.name, row_id)
        return reply
