"""The resources of the Web API: which part of the emulator answers for a path and a method."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import unquote

from .actions import Actions
from .callers import Caller, allow
from .definitions import Definitions
from .errors import CrmError, method_not_allowed, no_such_segment, not_found
from .messages import Asked, Json, Operation, Reply, etag, etag_matches, json_reply, no_content, read_json, text_reply
from .metadata import Table
from .navigation import Navigation
from .query import Queries, headers_of, parse_options, parse_prefer, query_pairs, split_outside
from .records import Records
from .references import content_reference, split_resource
from .store import Ref
from .writing import Writing

NAMESPACE = "Microsoft.Dynamics.CRM."


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
        self.schema = records.schema
        self.writing = Writing(records, queries, api_url)
        self.navigation = Navigation(self.writing, self._record)

    def run(self, operation: Operation, caller: Caller, refs: Mapping[str, Ref]) -> Reply:
        """Do one operation. Raises CrmError; the caller's transaction then undoes what was written."""
        path, _, query = operation.target.partition("?")
        asked = Asked(operation, caller, refs, query_pairs(query))
        path = path.strip("/")
        segments = path.split("/") if "'" not in path else split_outside(path, "/")
        segments = [unquote(segment) for segment in segments]
        if segments == [""]:
            return self._service_document(asked)
        first, rest = segments[0], segments[1:]
        if first.startswith("$") and first not in ("$metadata", "$batch"):
            ref = content_reference(first, refs)
            return self._record(asked, self.schema.tables[ref.table], ref.id, rest)
        name, key = split_resource(first)
        if name in self.definitions.roots:
            return self._metadata(asked, segments)
        table = self.schema.by_set.get(name)
        if table is None:
            return self._unbound(asked, name, key, rest)
        if key is None:
            return self._set(asked, table, rest)
        if not rest and asked.method == "PATCH":
            return self.writing.upsert(asked, table, key)
        return self._record(asked, table, self.records.references.existing(table, key), rest)

    # ------------------------------------------------ records

    def _set(self, asked: Asked, table: Table, rest: list[str]) -> Reply:
        if not rest:
            if asked.method == "GET":
                allow(asked.caller, "Read", table)
                prefer = parse_prefer(asked.header("prefer") or "")
                answer = self.queries.collection(table, self.queries.options(asked.pairs), prefer, table.entity_set)
                return json_reply(answer, headers=headers_of(prefer))
            if asked.method == "POST":
                return self.writing.create(asked, table)
            raise method_not_allowed(asked.method)
        if len(rest) == 1 and rest[0] == "$count" and asked.method == "GET":
            allow(asked.caller, "Read", table)
            return text_reply(str(self.queries.count(table, self.queries.options(asked.pairs))))
        name = rest[0].removesuffix("()").removeprefix(NAMESPACE)
        action = self.actions.on_collection.get(name)
        if len(rest) == 1 and rest[0].startswith(NAMESPACE) and action is not None:
            if asked.method != "POST":
                raise method_not_allowed(asked.method)
            body = asked.operation.json(table.entity_set)
            return self._answer(name, action(table, body, asked.caller, asked.refs))
        raise no_such_segment(rest[0])

    def _record(self, asked: Asked, table: Table, row_id: str, rest: list[str]) -> Reply:
        row = self.records.store.get(table.name, row_id)
        if row is None:
            raise not_found(table.name, row_id)
        if rest and rest[0].startswith(NAMESPACE):
            return self._bound(asked, table, row_id, rest)
        if rest:
            return self.navigation.part(asked, table, row_id, row, rest)
        if asked.method == "GET":
            allow(asked.caller, "Read", table)
            if etag_matches(asked.header("if-none-match"), row):
                return Reply(304, {"OData-Version": "4.0"})
            prefer = parse_prefer(asked.header("prefer") or "")
            options = parse_options(asked.pairs, frozenset({"$select", "$expand"}))
            answer = self.queries.record(table, row, options, prefer)
            return json_reply(answer, headers={"ETag": etag(row), **headers_of(prefer)})
        if asked.method == "PATCH":
            return self.writing.update(asked, table, row_id, row)
        if asked.method == "DELETE":
            return self.writing.delete(asked, table, row_id, row)
        raise method_not_allowed(asked.method)

    # ------------------------------------------------ actions, functions, metadata

    def _answer(self, name: str, answer: Json | None) -> Reply:
        if answer is None:
            return no_content()
        answer = {
            "@odata.context": f"{self.api_url()}$metadata#{NAMESPACE}{name}Response",
            **{key: value for key, value in answer.items() if key != "@odata.context"},
        }
        return json_reply(answer)

    def _bound(self, asked: Asked, table: Table, row_id: str, rest: list[str]) -> Reply:
        name, key = split_resource(rest[0][len(NAMESPACE) :])
        if rest[1:]:
            raise no_such_segment(rest[1])
        if asked.method == "POST":
            action = self.actions.on_record.get(name)
            if action is None:
                raise no_such_segment(NAMESPACE + name)
            return self._answer(name, action(table, row_id, asked.caller))
        if asked.method == "GET":
            arguments = _arguments(key, asked.pairs)
            return self._answer(name, self.actions.bound_function(name, table, row_id, arguments))
        raise method_not_allowed(asked.method)

    def _unbound(self, asked: Asked, name: str, key: str | None, rest: list[str]) -> Reply:
        name = name.removeprefix(NAMESPACE)
        action = self.actions.unbound.get(name)
        if rest:
            raise no_such_segment(name)
        if asked.method == "POST" and action is not None and key is None:
            body = read_json(asked.operation.body, name) if asked.operation.body.strip() else {}
            return self._answer(name, action(body, asked.caller, asked.refs))
        if asked.method == "GET" and name == "RetrieveMetadataChanges":
            argument = _arguments(key, asked.pairs).get("Query", "").encode()
            return self._answer(name, self.definitions.changes(read_json(argument, name)))
        if asked.method == "GET" and action is None:
            return self._answer(name, self.actions.function(name, _arguments(key, asked.pairs), asked.caller))
        if action is not None:
            raise method_not_allowed(asked.method)
        raise no_such_segment(name)

    def _metadata(self, asked: Asked, segments: list[str]) -> Reply:
        if asked.method != "GET":
            raise CrmError(501, "0x80060888", "Changing metadata has not yet been implemented.")
        if segments == ["$metadata"]:
            document = self.definitions.csdl().encode()
            return Reply(200, {"Content-Type": "application/xml", "OData-Version": "4.0"}, document)
        return json_reply(self.definitions.read(segments, asked.pairs))

    def _service_document(self, asked: Asked) -> Reply:
        if asked.method != "GET":
            raise method_not_allowed(asked.method)
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
