"""What is addressed below a record: its single columns, the records that point to it, those it points to."""

from __future__ import annotations

from collections.abc import Callable

from .callers import allow
from .errors import bad_payload, bad_request, method_not_allowed, no_such_segment, not_found
from .messages import Asked, Reply, json_reply, no_content, text_reply
from .metadata import Column, Table
from .query import headers_of, parse_prefer
from .references import split_resource
from .store import Ref, Row
from .values import on_the_wire
from .writing import Writing

ReadRecord = Callable[[Asked, Table, str, list[str]], Reply]


class Navigation:
    """`record` answers for the record that a path arrives at."""

    def __init__(self, writing: Writing, record: ReadRecord) -> None:
        self.writing = writing
        self.records = writing.records
        self.queries = writing.queries
        self.reader = writing.records.reader
        self.store = writing.records.store
        self.schema = writing.records.schema
        self.api_url = writing.api_url
        self.record = record

    def part(self, asked: Asked, table: Table, row_id: str, row: Row, rest: list[str]) -> Reply:
        name, key = split_resource(rest[0])
        if name in table.collections:
            return self._collection(asked, table, row_id, row, name, key, rest[1:])
        if name in table.lookups and (rest[1:] == ["$ref"] or asked.method == "GET"):
            return self._lookup(asked, table, row_id, row, name, rest[1:])
        column = table.by_api_name.get(name)
        if column is None or key is not None:
            raise no_such_segment(name)
        return self._column(asked, table, row_id, row, column, rest[1:])

    def _column(self, asked: Asked, table: Table, row_id: str, row: Row, column: Column, rest: list[str]) -> Reply:
        name = column.api_name
        if asked.method == "GET" and rest in ([], ["$value"]):
            allow(asked.caller, "Read", table)
            value = on_the_wire(self.reader.reader(column)(row))
            if value is None:
                return no_content()
            if rest:
                return text_reply(str(value))
            context = f"{self.api_url()}$metadata#{table.entity_set}({row_id})/{name}"
            return json_reply({"@odata.context": context, "value": value})
        if rest:
            raise no_such_segment(rest[0])
        if asked.method == "PUT":
            body = asked.operation.json(table.entity_set)
            if set(body) - {"@odata.context"} != {"value"}:
                raise bad_payload(table.entity_set, "The body of a property has one member, 'value'.")
            return self.writing.set(asked, table, row_id, row, {name: body["value"]})
        if asked.method == "DELETE":
            return self.writing.set(asked, table, row_id, row, {name: None})
        raise method_not_allowed(asked.method)

    def _collection(
        self, asked: Asked, table: Table, row_id: str, row: Row, name: str, key: str | None, rest: list[str]
    ) -> Reply:
        relationship = table.collections[name]
        target = self.schema.tables[relationship.referencing]
        if key is not None:
            child_id = self.records.references.existing(target, key)
            child = self.store.get(target.name, child_id)
            if child is None or child.get(relationship.column) != Ref(table.name, row_id):
                raise not_found(target.name, child_id)
            if rest == ["$ref"] and asked.method == "DELETE":
                lookup = relationship.lookup_property
                self.records.update(target, child_id, {lookup: None}, asked.caller, asked.refs)
                return no_content()
            return self.record(asked, target, child_id, rest)
        if asked.method == "GET" and rest in ([], ["$count"], ["$ref"]):
            return self._children(asked, table, row_id, row, name, rest)
        if asked.method == "POST" and not rest:
            return self.writing.create(asked, target, {relationship.column: Ref(table.name, row_id)})
        if asked.method == "POST" and rest == ["$ref"]:
            ref = self._body_reference(asked, table)
            if ref.table != target.name:
                raise bad_request(f"A record of '{ref.table}' cannot be associated by '{name}'.")
            bind = {f"{relationship.lookup_property}@odata.bind": f"{table.entity_set}({row_id})"}
            self.records.update(target, ref.id, bind, asked.caller, asked.refs)
            return no_content()
        raise method_not_allowed(asked.method)

    def _children(self, asked: Asked, table: Table, row_id: str, row: Row, name: str, rest: list[str]) -> Reply:
        target = self.schema.tables[table.collections[name].referencing]
        _, gather = self.reader.gather(table.name, name)
        allow(asked.caller, "Read", target)
        options = self.queries.options(asked.pairs)
        if rest == ["$count"]:
            return text_reply(str(self.queries.count(target, options, gather(row))))
        if rest == ["$ref"]:
            ids = [self.writing.url(target, str(child[target.id_column])) for child in gather(row)]
            return json_reply(
                {
                    "@odata.context": f"{self.api_url()}$metadata#Collection($ref)",
                    "value": [{"@odata.id": each} for each in ids],
                }
            )
        prefer = parse_prefer(asked.header("prefer") or "")
        path = f"{table.entity_set}({row_id})/{name}"
        answer = self.queries.collection(target, options, prefer, path, gather(row))
        return json_reply(answer, headers=headers_of(prefer))

    def _body_reference(self, asked: Asked, table: Table) -> Ref:
        address = asked.operation.json(table.entity_set).get("@odata.id")
        if not isinstance(address, str):
            raise bad_payload(table.entity_set, "The body needs '@odata.id'.")
        return self.records.references.find(address, asked.refs)

    def _lookup(self, asked: Asked, table: Table, row_id: str, row: Row, name: str, rest: list[str]) -> Reply:
        relationships = table.lookups[name]
        column = table.columns[relationships[0].column]
        ref = self.reader.reader(column)(row)
        if not isinstance(ref, Ref) or ref.table not in [known.referenced for known in relationships]:
            ref = None
        if asked.method == "GET":
            if ref is None or ref.table not in self.schema.tables:
                return no_content()
            target = self.schema.tables[ref.table]
            if rest == ["$ref"]:
                context = f"{self.api_url()}$metadata#$ref"
                return json_reply({"@odata.context": context, "@odata.id": self.writing.url(target, ref.id)})
            return self.record(asked, target, ref.id, rest)
        self.writing.check_if_match(asked, row)
        if asked.method == "DELETE":
            return self.writing.set(asked, table, row_id, row, {name: None})
        if asked.method == "PUT":
            found = self._body_reference(asked, table)
            target = self.schema.tables[found.table]
            bind = {f"{name}@odata.bind": f"{target.entity_set}({found.id})"}
            return self.writing.set(asked, table, row_id, row, bind)
        raise method_not_allowed(asked.method)
