"""One operation of the Web API: path → resource, method → what to do, outcome → reply.

Used for single requests and for the parts of a `$batch` alike.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

import simplejson

from .actions import Actions
from .definitions import Definitions
from .errors import CrmError, bad_payload, bad_request, duplicate_record, method_not_allowed, no_such_segment, not_found
from .errors import stale_version as stale
from .metadata import Table
from .query import (
    Json,
    Options,
    Preferences,
    Queries,
    headers_of,
    parse_options,
    parse_prefer,
    query_pairs,
    split_outside,
)
from .records import Caller, Records, content_reference, split_resource
from .store import VERSION, Ref, Row
from .values import on_the_wire

NAMESPACE = "Microsoft.Dynamics.CRM."
API_ROOT = re.compile(r"(?:https?://[^/]+)?/?api/data/v(?:8\.[0-2]|9\.[0-2])/", re.IGNORECASE)
URL_LIMIT = 32_768
URL_LIMIT_IN_BATCH = 65_536
JSON_TYPE = "application/json; odata.metadata=minimal"


@dataclass
class Operation:
    """A request, or one part of a batch."""

    method: str
    target: str
    """Path below the API's root, with its query."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""
    body: bytes = b""
    content_id: str | None = None
    in_change_set: bool = False


@dataclass
class Reply:
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    created: Ref | None = None
    seconds_per_byte: float = 0.0
    """How slowly the body is sent."""


def dump(value: object) -> bytes:
    text: str = simplejson.dumps(
        value, use_decimal=True, ensure_ascii=False, separators=(",", ":"), namedtuple_as_object=False
    )
    return text.encode()


def json_reply(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(status, {"Content-Type": JSON_TYPE, "OData-Version": "4.0", **(headers or {})}, dump(value))


def error_reply(error: CrmError) -> Reply:
    return json_reply(error.body(), error.status, error.headers)


def relative(target: str) -> str | None:
    """A request target as a path below the API's root; None where it is not one."""
    match = API_ROOT.match(target)
    if match:
        return target[match.end() :]
    return None if target.startswith(("/", "http:", "https:")) else target


def _refuse_constant(text: str) -> object:
    raise ValueError(f"{text} is no JSON number")


def read_json(body: bytes, what: str) -> Json:
    try:
        value: Any = json.loads(body, parse_float=Decimal, parse_constant=_refuse_constant)
    except (ValueError, UnicodeDecodeError) as problem:
        raise bad_payload(what, f"Invalid JSON: {problem}") from None
    if not isinstance(value, dict):
        raise bad_payload(what, "The body is not a JSON object.")
    return value


class Api:
    """The resources below `/api/data/v9.2/`."""

    def __init__(
        self,
        records: Records,
        queries: Queries,
        actions: Actions,
        definitions: Definitions,
        api_url: Callable[[], str],
    ) -> None:
        self.records = records
        self.queries = queries
        self.actions = actions
        self.definitions = definitions
        self.api_url = api_url
        self.reader = records.reader
        self.store = records.store
        self.schema = records.schema

    def run(self, operation: Operation, caller: Caller, refs: Mapping[str, Ref]) -> Reply:
        """Do one operation. Raises CrmError; what it wrote until then is undone by the caller's transaction."""
        path, _, query = operation.target.partition("?")
        pairs = query_pairs(query)
        path = path.strip("/")
        segments = path.split("/") if "'" not in path else split_outside(path, "/")
        segments = [unquote(segment) for segment in segments]
        if segments == [""]:
            return self._service_document(operation)
        first = segments[0]
        if first.startswith("$") and first not in ("$metadata", "$batch"):
            ref = content_reference(first, refs)
            return self._record(operation, self.schema.tables[ref.table], ref.id, segments[1:], pairs, caller, refs)
        name, key = split_resource(first)
        if name in self.definitions.roots:
            return self._metadata(operation, segments, pairs)
        table = self.schema.by_set.get(name)
        if table is None:
            return self._unbound(operation, name, key, segments[1:], pairs, caller, refs)
        if key is not None:
            return self._keyed(operation, table, key, segments[1:], pairs, caller, refs)
        return self._set(operation, table, segments[1:], pairs, caller, refs)

    # ------------------------------------------------ a table

    def _set(
        self,
        operation: Operation,
        table: Table,
        rest: list[str],
        pairs: list[tuple[str, str]],
        caller: Caller,
        refs: Mapping[str, Ref],
    ) -> Reply:
        if not rest:
            if operation.method == "GET":
                self.records.allow(caller, "Read", table)
                prefer = parse_prefer(operation.headers.get("prefer", ""))
                answer = self.queries.collection(table, self.queries.options(pairs), prefer, table.entity_set)
                return json_reply(answer, headers=headers_of(prefer))
            if operation.method == "POST":
                row_id = self.records.create(table, self._body(operation, table), caller, refs)
                return self._written(operation, table, row_id, True, self._url(table, row_id), pairs)
            raise method_not_allowed(operation.method)
        if len(rest) == 1 and rest[0] == "$count" and operation.method == "GET":
            self.records.allow(caller, "Read", table)
            return _text(str(self.queries.count(table, self.queries.options(pairs))))
        name = rest[0].removesuffix("()").removeprefix(NAMESPACE)
        action = self.actions.on_collection.get(name)
        if len(rest) == 1 and rest[0].startswith(NAMESPACE) and action is not None:
            if operation.method != "POST":
                raise method_not_allowed(operation.method)
            return self._action_reply(name, action(table, self._body(operation, table), caller, refs))
        raise no_such_segment(rest[0])

    def _action_reply(self, name: str, answer: Json | None) -> Reply:
        if answer is None:
            return Reply(204, {"OData-Version": "4.0"})
        answer = {
            "@odata.context": f"{self.api_url()}$metadata#{NAMESPACE}{name}Response",
            **{key: value for key, value in answer.items() if key != "@odata.context"},
        }
        return json_reply(answer)

    def _url(self, table: Table, row_id: str) -> str:
        return f"{self.api_url()}{table.entity_set}({row_id})"

    def _body(self, operation: Operation, table: Table) -> Json:
        kind = operation.headers.get("content-type", "")
        if not kind.lower().startswith("application/json"):
            raise CrmError(
                415 if kind else 400,
                "0x80060888",
                f"A supported MIME type could not be found that matches the content type of the request: '{kind}'.",
            )
        return read_json(operation.body, table.entity_set)

    # ------------------------------------------------ a record

    def _keyed(
        self,
        operation: Operation,
        table: Table,
        key: str,
        rest: list[str],
        pairs: list[tuple[str, str]],
        caller: Caller,
        refs: Mapping[str, Ref],
    ) -> Reply:
        if not rest and operation.method == "PATCH":
            return self._upsert(operation, table, key, pairs, caller, refs)
        row_id = self.records.existing(table, key)
        return self._record(operation, table, row_id, rest, pairs, caller, refs)

    def _record(
        self,
        operation: Operation,
        table: Table,
        row_id: str,
        rest: list[str],
        pairs: list[tuple[str, str]],
        caller: Caller,
        refs: Mapping[str, Ref],
    ) -> Reply:
        row = self.store.get(table.name, row_id)
        if row is None:
            raise not_found(table.name, row_id)
        if rest:
            return self._part(operation, table, row_id, row, rest, pairs, caller, refs)
        if operation.method == "GET":
            self.records.allow(caller, "Read", table)
            if _etag_matches(operation.headers.get("if-none-match"), row):
                return Reply(304, {"OData-Version": "4.0"})
            prefer = parse_prefer(operation.headers.get("prefer", ""))
            options = parse_options(pairs, frozenset({"$select", "$expand"}))
            answer = self.queries.record(table, row, options, prefer)
            return json_reply(answer, headers={"ETag": _etag(row), **headers_of(prefer)})
        if operation.method == "PATCH":
            return self._patch_existing(operation, table, row_id, row, self._url(table, row_id), pairs, caller, refs)
        if operation.method == "DELETE":
            self._check_if_match(operation, row)
            self.records.delete(table, row_id, caller)
            return Reply(204, {"OData-Version": "4.0"})
        raise method_not_allowed(operation.method)

    def _check_if_match(self, operation: Operation, row: Row) -> None:
        wanted = operation.headers.get("if-match")
        if wanted is not None and wanted.strip() != "*" and not _etag_matches(wanted, row):
            raise stale()

    def _upsert(
        self,
        operation: Operation,
        table: Table,
        key: str,
        pairs: list[tuple[str, str]],
        caller: Caller,
        refs: Mapping[str, Ref],
    ) -> Reply:
        row_id, given = self.records.resolve(table, key)
        row = self.store.get(table.name, row_id) if row_id is not None else None
        url = f"{self.api_url()}{table.entity_set}({key})" if given else self._url(table, str(row_id))
        if row is not None:
            assert row_id is not None
            return self._patch_existing(operation, table, row_id, row, url, pairs, caller, refs)
        if operation.headers.get("if-match") is not None:
            raise self._absent(table, row_id)
        created = self.records.create(table, self._body(operation, table), caller, refs, given=given, record_id=row_id)
        return self._written(operation, table, created, True, url, pairs)

    def _absent(self, table: Table, row_id: str | None) -> CrmError:
        if row_id is not None:
            return not_found(table.name, row_id)
        return CrmError(
            404, "0x80060891", f"A record with the specified key values does not exist in {table.name} entity"
        )

    def _patch_existing(
        self,
        operation: Operation,
        table: Table,
        row_id: str,
        row: Row,
        url: str,
        pairs: list[tuple[str, str]],
        caller: Caller,
        refs: Mapping[str, Ref],
    ) -> Reply:
        if operation.headers.get("if-none-match", "").strip() == "*":
            raise duplicate_record()
        self._check_if_match(operation, row)
        self.records.update(table, row_id, self._body(operation, table), caller, refs)
        return self._written(operation, table, row_id, False, url, pairs)

    def _written(
        self,
        operation: Operation,
        table: Table,
        row_id: str,
        created: bool,
        url: str,
        pairs: list[tuple[str, str]],
    ) -> Reply:
        prefer = parse_prefer(operation.headers.get("prefer", ""))
        headers = {"OData-Version": "4.0", "OData-EntityId": url}
        if operation.in_change_set and created:
            headers["Location"] = url
        if not prefer.representation:
            return Reply(204, headers, created=Ref(table.name, row_id))
        row = self.store.get(table.name, row_id)
        assert row is not None
        options = parse_options(pairs, frozenset({"$select", "$expand"}))
        options.expand = []
        answer = self.queries.record(table, row, options, prefer)
        reply = json_reply(answer, 201 if created else 200, {**headers, "ETag": _etag(row), **headers_of(prefer)})
        reply.created = Ref(table.name, row_id)
        return reply

    # ------------------------------------------------ below a record

    def _part(
        self,
        operation: Operation,
        table: Table,
        row_id: str,
        row: Row,
        rest: list[str],
        pairs: list[tuple[str, str]],
        caller: Caller,
        refs: Mapping[str, Ref],
    ) -> Reply:
        name, key = split_resource(rest[0])
        if name.startswith(NAMESPACE):
            return self._bound(operation, table, row_id, name[len(NAMESPACE) :], key, rest[1:], pairs, caller)
        if name in table.collections:
            return self._collection(operation, table, row_id, row, name, key, rest[1:], pairs, caller, refs)
        if name in table.lookups and (rest[1:] == ["$ref"] or operation.method == "GET"):
            return self._lookup(operation, table, row_id, row, name, rest[1:], pairs, caller, refs)
        column = table.by_api_name.get(name)
        if column is None or key is not None:
            raise no_such_segment(name)
        if operation.method == "GET" and rest[1:] in ([], ["$value"]):
            self.records.allow(caller, "Read", table)
            value = on_the_wire(self.reader.reader(column)(row))
            if value is None:
                return Reply(204, {"OData-Version": "4.0"})
            if rest[1:]:
                return _text(str(value))
            context = f"{self.api_url()}$metadata#{table.entity_set}({row_id})/{name}"
            return json_reply({"@odata.context": context, "value": value})
        if rest[1:]:
            raise no_such_segment(rest[1])
        if operation.method == "PUT":
            body = self._body(operation, table)
            if set(body) - {"@odata.context"} != {"value"}:
                raise bad_payload(table.entity_set, "The body of a property has one member, 'value'.")
            self._check_if_match(operation, row)
            self.records.update(table, row_id, {name: body["value"]}, caller, refs)
            return Reply(204, {"OData-Version": "4.0"})
        if operation.method == "DELETE":
            self._check_if_match(operation, row)
            self.records.update(table, row_id, {name: None}, caller, refs)
            return Reply(204, {"OData-Version": "4.0"})
        raise method_not_allowed(operation.method)

    def _collection(
        self,
        operation: Operation,
        table: Table,
        row_id: str,
        row: Row,
        name: str,
        key: str | None,
        rest: list[str],
        pairs: list[tuple[str, str]],
        caller: Caller,
        refs: Mapping[str, Ref],
    ) -> Reply:
        relationship = table.collections[name]
        target = self.schema.tables[relationship.referencing]
        if key is not None:
            child_id = self.records.existing(target, key)
            child = self.store.get(target.name, child_id)
            if child is None or child.get(relationship.column) != Ref(table.name, row_id):
                raise not_found(target.name, child_id)
            if rest == ["$ref"] and operation.method == "DELETE":
                lookup = relationship.lookup_property
                self.records.update(target, child_id, {lookup: None}, caller, refs)
                return Reply(204, {"OData-Version": "4.0"})
            return self._record(operation, target, child_id, rest, pairs, caller, refs)
        _, gather = self.reader.gather(table.name, name)
        path = f"{table.entity_set}({row_id})/{name}"
        if operation.method == "GET" and rest in ([], ["$count"], ["$ref"]):
            self.records.allow(caller, "Read", target)
            options = self.queries.options(pairs)
            if rest == ["$count"]:
                return _text(str(self.queries.count(target, options, gather(row))))
            if rest == ["$ref"]:
                return json_reply(
                    {
                        "@odata.context": f"{self.api_url()}$metadata#Collection($ref)",
                        "value": [
                            {"@odata.id": self._url(target, str(child[target.id_column]))} for child in gather(row)
                        ],
                    }
                )
            prefer = parse_prefer(operation.headers.get("prefer", ""))
            answer = self.queries.collection(target, options, prefer, path, gather(row))
            return json_reply(answer, headers=headers_of(prefer))
        if operation.method == "POST" and not rest:
            given = {relationship.column: Ref(table.name, row_id)}
            child_id = self.records.create(target, self._body(operation, target), caller, refs, given=given)
            return self._written(operation, target, child_id, True, self._url(target, child_id), pairs)
        if operation.method == "POST" and rest == ["$ref"]:
            ref = self._body_reference(operation, table, refs)
            if ref.table != target.name:
                raise bad_request(f"A record of '{ref.table}' cannot be associated by '{name}'.")
            bind = {f"{relationship.lookup_property}@odata.bind": f"{table.entity_set}({row_id})"}
            self.records.update(target, ref.id, bind, caller, refs)
            return Reply(204, {"OData-Version": "4.0"})
        raise method_not_allowed(operation.method)

    def _body_reference(self, operation: Operation, table: Table, refs: Mapping[str, Ref]) -> Ref:
        address = self._body(operation, table).get("@odata.id")
        if not isinstance(address, str):
            raise bad_payload(table.entity_set, "The body needs '@odata.id'.")
        return self.records.reference(address, refs)

    def _lookup(
        self,
        operation: Operation,
        table: Table,
        row_id: str,
        row: Row,
        name: str,
        rest: list[str],
        pairs: list[tuple[str, str]],
        caller: Caller,
        refs: Mapping[str, Ref],
    ) -> Reply:
        relationships = table.lookups[name]
        column = table.columns[relationships[0].column]
        ref = self.reader.reader(column)(row)
        if not isinstance(ref, Ref) or ref.table not in [known.referenced for known in relationships]:
            ref = None
        if operation.method == "GET":
            if ref is None or ref.table not in self.schema.tables:
                return Reply(204, {"OData-Version": "4.0"})
            target = self.schema.tables[ref.table]
            if rest == ["$ref"]:
                return json_reply(
                    {"@odata.context": f"{self.api_url()}$metadata#$ref", "@odata.id": self._url(target, ref.id)}
                )
            return self._record(operation, target, ref.id, rest, pairs, caller, refs)
        self._check_if_match(operation, row)
        if operation.method == "DELETE":
            self.records.update(table, row_id, {name: None}, caller, refs)
            return Reply(204, {"OData-Version": "4.0"})
        if operation.method == "PUT":
            found = self._body_reference(operation, table, refs)
            target = self.schema.tables[found.table]
            bind = {f"{name}@odata.bind": f"{target.entity_set}({found.id})"}
            self.records.update(table, row_id, bind, caller, refs)
            return Reply(204, {"OData-Version": "4.0"})
        raise method_not_allowed(operation.method)

    # ------------------------------------------------ actions, functions, metadata

    def _bound(
        self,
        operation: Operation,
        table: Table,
        row_id: str,
        name: str,
        key: str | None,
        rest: list[str],
        pairs: list[tuple[str, str]],
        caller: Caller,
    ) -> Reply:
        if rest:
            raise no_such_segment(rest[0])
        if operation.method == "POST":
            action = self.actions.on_record.get(name)
            if action is None:
                raise no_such_segment(NAMESPACE + name)
            return self._action_reply(name, action(table, row_id, caller))
        if operation.method == "GET":
            return self._action_reply(name, self.actions.bound_function(name, table, row_id, _arguments(key, pairs)))
        raise method_not_allowed(operation.method)

    def _unbound(
        self,
        operation: Operation,
        name: str,
        key: str | None,
        rest: list[str],
        pairs: list[tuple[str, str]],
        caller: Caller,
        refs: Mapping[str, Ref],
    ) -> Reply:
        name = name.removeprefix(NAMESPACE)
        action = self.actions.unbound.get(name)
        if rest:
            raise no_such_segment(name)
        if operation.method == "POST" and action is not None and key is None:
            body = read_json(operation.body, name) if operation.body.strip() else {}
            return self._action_reply(name, action(body, caller, refs))
        if operation.method == "GET" and name == "RetrieveMetadataChanges":
            argument = _arguments(key, pairs).get("Query", "").encode()
            return self._action_reply(name, self.definitions.changes(read_json(argument, name)))
        if operation.method == "GET" and action is None:
            return self._action_reply(name, self.actions.function(name, _arguments(key, pairs), caller))
        if action is not None:
            raise method_not_allowed(operation.method)
        raise no_such_segment(name)

    def _metadata(self, operation: Operation, segments: list[str], pairs: list[tuple[str, str]]) -> Reply:
        if operation.method != "GET":
            raise CrmError(501, "0x80060888", "Changing metadata has not yet been implemented.")
        if segments == ["$metadata"]:
            document = self.definitions.csdl().encode()
            return Reply(200, {"Content-Type": "application/xml", "OData-Version": "4.0"}, document)
        return json_reply(self.definitions.read(segments, pairs))

    def _service_document(self, operation: Operation) -> Reply:
        if operation.method != "GET":
            raise method_not_allowed(operation.method)
        sets = [{"name": name, "kind": "EntitySet", "url": name} for name in self.schema.by_set]
        return json_reply({"@odata.context": f"{self.api_url()}$metadata", "value": sets})


def _arguments(key: str | None, pairs: list[tuple[str, str]]) -> dict[str, str]:
    """`Target=@t` with `?@t={…}` → {"Target": "{…}"}."""
    aliases = dict(pairs)
    arguments = {}
    for part in split_outside(key, ",") if key else ():
        name, _, value = part.strip().partition("=")
        arguments[name] = aliases.get(value, value) if value.startswith("@") else value
    return arguments


def _etag(row: Row) -> str:
    return f'W/"{row[VERSION]}"'


def _etag_matches(header: str | None, row: Row) -> bool:
    if header is None:
        return False
    number = str(row[VERSION])
    return any(part.strip() in (f'W/"{number}"', f'"{number}"') for part in header.split(","))


def _text(text: str) -> Reply:
    return Reply(200, {"Content-Type": "text/plain", "OData-Version": "4.0"}, b"\xef\xbb\xbf" + text.encode())


__all__ = ["Api", "Operation", "Options", "Preferences", "Reply"]
