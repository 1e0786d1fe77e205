"""Reading records: query options, projections, expansion, pages, change tracking."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import lru_cache
from itertools import islice
from typing import Literal
from urllib.parse import quote, unquote, unquote_plus

from .errors import CrmError, bad_request, not_implemented
from .metadata import Column, Relationship, Table
from .odata_filter import Node, Path, Test, candidates, compile_filter, parse_filter
from .reader import Reader
from .store import SEQUENCE, VERSION, Ref, Row, Value, fold
from .values import ListLexer, Readings, formatted

MAX_PAGE = 5000
FORMATTED = "OData.Community.Display.V1.FormattedValue"
LOOKUP_TABLE = "Microsoft.Dynamics.CRM.lookuplogicalname"
LOOKUP_PROPERTY = "Microsoft.Dynamics.CRM.associatednavigationproperty"
Json = dict[str, object]


# ---------------------------------------------------------------- options


@dataclass
class Options:
    """The query options of a request or of one `$expand` item."""

    select: list[str] | None = None
    filter: Node | None = None
    orderby: list[tuple[Path, bool]] = field(default_factory=list)
    top: int | None = None
    count: bool = False
    expand: list[Expand] = field(default_factory=list)
    skiptoken: str | None = None
    deltatoken: str | None = None
    raw: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Expand:
    property: str
    options: Options


def split_outside(text: str, separator: str) -> Iterator[str]:
    """Split at separators outside parentheses, brackets and quotes."""
    depth, start, quoted = 0, 0, ""
    for position, char in enumerate(text):
        if quoted:
            if char == quoted:
                quoted = ""
        elif char in "'\"":
            quoted = char
        elif char in "([":
            depth += 1
        elif char in ")]":
            depth -= 1
        elif char == separator and depth == 0:
            yield text[start:position]
            start = position + 1
    yield text[start:]


def query_pairs(query: str) -> list[tuple[str, str]]:
    pairs = []
    for part in query.split("&") if query else ():
        name, _, value = part.partition("=")
        if name:
            pairs.append((unquote_plus(name), unquote_plus(value)))
    return pairs


_TOP_LEVEL = {
    "$select", "$filter", "$orderby", "$top", "$count", "$expand", "$skiptoken", "$deltatoken",
}  # fmt: skip
_NESTED = {"$select", "$filter", "$orderby", "$top", "$expand"}


def parse_options(
    pairs: Iterable[tuple[str, str]],
    allowed: set[str] | frozenset[str] = frozenset(_TOP_LEVEL),
    lexer: ListLexer = "any",
) -> Options:
    pairs = list(pairs)
    options = Options(raw=pairs)
    aliases = {name: value for name, value in pairs if name.startswith("@")}
    seen: set[str] = set()
    for name, value in pairs:
        if name.startswith("@") or (not name.startswith("$") and name != "fetchXml" and name != "savedQuery"):
            continue
        if name in seen:
            raise bad_request(
                f"Query option '{name}' was specified more than once, but it must be specified at most once."
            )
        seen.add(name)
        if name == "$skip":
            raise bad_request("Skip Clause is not supported in CRM")
        if name in ("$apply", "fetchXml", "savedQuery"):
            raise not_implemented(f"The query option {name}")
        if name not in allowed:
            raise bad_request(f"The query parameter {name} is not supported.")
        if name == "$select":
            options.select = [part.strip() for part in value.split(",")]
            if "" in options.select:
                raise bad_request("Syntax error: an empty name in $select.")
        elif name == "$filter":
            options.filter = parse_filter(value, aliases, lexer)
        elif name == "$orderby":
            options.orderby = [_order(part) for part in value.split(",")]
        elif name == "$top":
            if not re.fullmatch(r"\d+", value):
                raise bad_request(
                    f"Invalid value '{value}' for $top query option found. The $top query option "
                    "requires a non-negative integer value."
                )
            options.top = int(value)
        elif name == "$count":
            if value not in ("true", "false"):
                raise bad_request(
                    f"Invalid value '{value}' for $count query option found. Valid values are 'true' and 'false'."
                )
            options.count = value == "true"
        elif name == "$expand":
            options.expand = [_expand(part.strip(), lexer) for part in split_outside(value, ",")]
            if len(options.expand) > 15:
                raise bad_request("The number of $expand properties is limited to 15.")
        elif name == "$skiptoken":
            options.skiptoken = value
        elif name == "$deltatoken":
            options.deltatoken = value
    return options


def _order(text: str) -> tuple[Path, bool]:
    match = re.fullmatch(r"\s*([\w/]+)(?:\s+(asc|desc))?\s*", text)
    if not match:
        raise bad_request(f"Syntax error in $orderby: '{text}'.")
    return Path(tuple(match.group(1).split("/"))), match.group(2) == "desc"


def _expand(text: str, lexer: ListLexer) -> Expand:
    match = re.fullmatch(r"(\w+)(?:\((.*)\))?", text, re.DOTALL)
    if not match:
        raise bad_request(f"Syntax error in $expand: '{text}'.")
    name, inner = match.groups()
    if text.endswith("/$ref"):
        raise not_implemented("$expand with /$ref")
    pairs = []
    for part in split_outside(inner, ";") if inner else ():
        option, found, value = part.strip().partition("=")
        if not found:
            raise bad_request(f"Syntax error in $expand: '{part}'.")
        pairs.append((option, value))
    return Expand(name, parse_options(pairs, frozenset(_NESTED), lexer))


# ---------------------------------------------------------------- preferences


@dataclass(frozen=True)
class Preferences:
    """The `Prefer` header."""

    representation: bool = False
    page_size: int | None = None
    annotations: str | None = None
    track_changes: bool = False
    continue_on_error: bool = False

    def applied(self) -> str | None:
        parts = []
        if self.representation:
            parts.append("return=representation")
        if self.page_size:
            parts.append(f"odata.maxpagesize={self.page_size}")
        if self.annotations:
            parts.append(f'odata.include-annotations="{self.annotations}"')
        if self.track_changes:
            parts.append("odata.track-changes")
        return ",".join(parts) or None


@lru_cache(maxsize=256)
def parse_prefer(header: str) -> Preferences:
    page_size = None
    annotations = None
    names = set()
    for part in split_outside(header.replace(";", ","), ","):
        name, _, value = part.strip().partition("=")
        name, value = name.strip().lower(), value.strip().strip('"')
        names.add(f"{name}={value.lower()}" if name == "return" else name)
        if name in ("odata.maxpagesize", "maxpagesize") and value.isdigit() and int(value) > 0:
            page_size = min(int(value), MAX_PAGE)
        if name in ("odata.include-annotations", "include-annotations"):
            annotations = value
    return Preferences(
        representation="return=representation" in names,
        page_size=page_size,
        annotations=annotations,
        track_changes=bool(names & {"odata.track-changes", "track-changes"}),
        continue_on_error=bool(names & {"odata.continue-on-error", "continue-on-error"}),
    )


@lru_cache(maxsize=256)
def wants(pattern: str | None, annotation: str) -> bool:
    """Whether `odata.include-annotations` asks for this one. A leading `-` excludes it."""
    wanted = False
    for part in (pattern or "").split(","):
        part = part.strip()
        if part.startswith("-"):
            if fnmatch.fnmatchcase(annotation, part[1:]):
                wanted = False
        elif fnmatch.fnmatchcase(annotation, part):
            wanted = True
    return wanted


# ---------------------------------------------------------------- projection


class Queries:
    """Answers reads over the rows of a store."""

    def __init__(self, reader: Reader, api_url: Callable[[], str], readings: Readings) -> None:
        self.reader = reader
        self.schema = reader.schema
        self.store = reader.store
        self.api_url = api_url
        self.readings = readings
        self.untracked: set[str] = set()
        """Tables whose changes are not tracked."""
        self.expired = 0
        """Links given before this version of the store have expired."""
        self.expired_links: Literal["refused", "everything"] = "refused"
        """What an expired link is answered with. The service is described to return everything."""
        self._all: dict[str, list[Column]] = {}

    def options(self, pairs: Iterable[tuple[str, str]]) -> Options:
        """The options of a read of many rows."""
        return parse_options(pairs, lexer=self.readings.list_lexer)

    def selected(self, table: Table, select: list[str] | None) -> list[Column]:
        if select is None:
            columns = self._all.get(table.name)
            if columns is None or len(columns) != len(table.by_api_name):
                columns = [column for column in table.columns.values() if column.read]
                self._all[table.name] = columns
            return columns
        chosen: dict[str, Column] = {}
        for name in select:
            if name == "*":
                return self.selected(table, None)
            column = table.by_api_name.get(name)
            if column is None and name in table.lookups:
                column = table.columns[table.lookups[name][0].column]
            if column is None or not column.read:
                if name in table.collections:
                    raise bad_request(f"The navigation property '{name}' cannot be selected: expand it.")
                raise bad_request(f"Could not find a property named '{name}' on type '{table.full_name}'.")
            chosen[column.name] = column
        key = table.columns[table.id_column]
        chosen.setdefault(key.name, key)
        return list(chosen.values())

    def projection(self, table: Table, options: Options, prefer: Preferences, many: bool) -> Callable[[Row], Json]:
        """The function that makes a row's JSON object."""
        columns = self.selected(table, options.select)
        plain = [column for column in columns if not column.is_lookup and self.reader.is_stored(column)]
        names, stored = [column.api_name for column in plain], [column.name for column in plain]
        lookups = [
            (column.api_name, column.name) for column in columns if column.is_lookup and self.reader.is_stored(column)
        ]
        derived = [
            (column.api_name, self.reader.reader(column)) for column in columns if not self.reader.is_stored(column)
        ]
        annotate = self._annotations(table, columns, prefer.annotations)
        expansions = [self._expansion(table, item, prefer, many) for item in options.expand]

        def project(row: Row) -> Json:
            get = row.get
            item: Json = {"@odata.etag": f'W/"{row[VERSION]}"'}
            item.update(zip(names, map(get, stored), strict=True))
            for name, column in lookups:
                ref = get(column)
                item[name] = ref.id if ref is not None else None  # type: ignore[union-attr]
            for name, read in derived:
                value = read(row)
                item[name] = value.id if isinstance(value, Ref) else value
            if annotate is not None:
                annotate(row, item)
            for expand in expansions:
                expand(row, item)
            return item

        return project

    def _annotations(
        self, table: Table, columns: list[Column], pattern: str | None
    ) -> Callable[[Row, Json], None] | None:
        if not pattern:
            return None
        format_values = wants(pattern, FORMATTED)
        name_tables = wants(pattern, LOOKUP_TABLE)
        name_properties = wants(pattern, LOOKUP_PROPERTY)
        if not (format_values or name_tables or name_properties):
            return None
        readers = [(column, column.api_name, self.reader.reader(column)) for column in columns]

        def annotate(row: Row, item: Json) -> None:
            for column, name, read in readers:
                value = read(row)
                if value is None:
                    continue
                if isinstance(value, Ref):
                    if format_values:
                        text = self.record_name(value)
                        if text is not None:
                            item[f"{name}@{FORMATTED}"] = text
                    if name_properties:
                        lookup = table.lookup_property(column.name, value.table)
                        if lookup:
                            item[f"{name}@{LOOKUP_PROPERTY}"] = lookup
                    if name_tables:
                        item[f"{name}@{LOOKUP_TABLE}"] = value.table
                elif format_values and column.type not in ("String", "Memo", "Uniqueidentifier"):
                    symbol = str(self.reader.currency(row).get("currencysymbol", "$"))
                    text = formatted(column, value, row, symbol)
                    if text is not None:
                        item[f"{name}@{FORMATTED}"] = text

        return annotate

    def record_name(self, ref: Ref) -> str | None:
        row = self.reader.target_row(ref)
        if row is None:
            return None
        name = row.get(self.schema.tables[ref.table].name_column)
        return None if name is None else str(name)

    # ------------------------------------------------ expansion

    def _expansion(self, table: Table, item: Expand, prefer: Preferences, many: bool) -> Callable[[Row, Json], None]:
        if item.property in table.lookups:
            return self._expand_one(table, item, prefer)
        if item.property in table.collections:
            return self._expand_many(table, table.collections[item.property], item, prefer, many)
        raise bad_request(f"Could not find a property named '{item.property}' on type '{table.full_name}'.")

    def _expand_one(self, table: Table, item: Expand, prefer: Preferences) -> Callable[[Row, Json], None]:
        if {"$filter", "$orderby", "$top"} & {name for name, _ in item.options.raw}:
            raise bad_request("$filter, $orderby and $top are for collection-valued navigation properties.")
        relationships = table.lookups[item.property]
        read = self.reader.reader(table.columns[relationships[0].column])
        targets = [relationship.referenced for relationship in relationships]
        if table.columns[relationships[0].column].type == "Owner":
            return self._expand_owner(item, read)
        known = [target for target in targets if target in self.schema.tables]
        projections = {
            target: self.projection(self.schema.tables[target], item.options, prefer, False) for target in known
        }

        def expand(row: Row, into: Json) -> None:
            ref = read(row)
            found = self.reader.target_row(ref) if isinstance(ref, Ref) and ref.table in projections else None
            into[item.property] = projections[ref.table](found) if found else None  # type: ignore[union-attr]

        return expand

    def _expand_owner(self, item: Expand, read: Callable[[Row], Value]) -> Callable[[Row, Json], None]:
        """`ownerid` is a `principal`, which has no columns but its key."""
        extra = set(item.options.select or ()) - {"ownerid"}
        if extra:
            raise bad_request(
                f"Could not find a property named '{min(extra)}' on type 'Microsoft.Dynamics.CRM.principal'."
            )

        def expand(row: Row, into: Json) -> None:
            ref = read(row)
            found = self.reader.target_row(ref)
            if found is None or not isinstance(ref, Ref):
                into[item.property] = None
            else:
                into[item.property] = {
                    "@odata.type": f"#Microsoft.Dynamics.CRM.{ref.table}",
                    "@odata.etag": f'W/"{found[VERSION]}"',
                    "ownerid": ref.id,
                }

        return expand

    def _expand_many(
        self, table: Table, relationship: Relationship, item: Expand, prefer: Preferences, many: bool
    ) -> Callable[[Row, Json], None]:
        options = item.options
        nested = bool(options.expand)
        if nested and (options.top is not None or options.orderby):
            raise bad_request(
                "$top and $orderby are not supported in $expand of a collection that has a nested $expand."
            )
        target_name, gather = self.reader.gather(table.name, item.property)
        target = self.schema.tables[target_name]
        project = self.projection(target, options, prefer, many)
        test = self._test(target, options)
        sort = self._sorter(target, options)
        limit = MAX_PAGE if not nested or not prefer.page_size else prefer.page_size
        raw = "&".join(f"{quote(name, safe='$')}={quote(value)}" for name, value in options.raw)
        path = f"/{item.property}" + (f"?{raw}" if raw else "")
        id_column = table.id_column

        def expand(row: Row, into: Json) -> None:
            rows = [child for child in gather(row) if test is None or test(child)]
            if sort is not None:
                rows = sort(rows)
            if options.top is not None:
                rows = rows[: options.top]
            into[item.property] = [project(child) for child in rows[:limit]]
            if not many:
                return
            link = f"{self.api_url()}{table.entity_set}({row[id_column]}){path}"
            if not nested:
                into[f"{item.property}@odata.nextLink"] = link
            elif len(rows) > limit:
                token = quote(_cookie(2, target.id_column, rows[limit - 1]), safe="")
                into[f"{item.property}@odata.nextLink"] = f"{link}{'&' if raw else '?'}$skiptoken={token}"

        return expand

    # ------------------------------------------------ rows

    def _test(self, table: Table, options: Options) -> Test | None:
        return compile_filter(options.filter, table.name, self.reader) if options.filter is not None else None

    def _sorter(self, table: Table, options: Options) -> Callable[[list[Row]], list[Row]] | None:
        if not options.orderby:
            return None
        keys = []
        for path, descending in options.orderby:
            name, hops = table.name, []
            for part in path.parts[:-1]:
                name, hop = self.reader.follow(name, part)
                hops.append(hop)
            keys.append((hops, self.reader.reader(self.reader.column(name, path.parts[-1])), descending))

        def sort(rows: list[Row]) -> list[Row]:
            ordered = list(rows)
            for hops, read, descending in reversed(keys):

                def key(row: Row, hops=hops, read=read) -> tuple[int, object]:  # type: ignore[no-untyped-def]
                    current: Row | None = row
                    for hop in hops:
                        current = hop(current) if current is not None else None
                    value = read(current) if current is not None else None
                    return (0, 0) if value is None else (1, fold(value))

                ordered.sort(key=key, reverse=descending)
            return ordered

        return sort

    def _rows(self, table: Table, options: Options, after: int) -> Iterator[Row]:
        """The rows that match, in order of creation, from after a sequence number."""
        data = self.store.tables[table.name]
        test = self._test(table, options)
        ids = candidates(options.filter, table.name, self.reader) if options.filter is not None else None
        if ids is None:
            rows: Iterable[Row] = data.in_order()
        else:
            rows = sorted((data.rows[row_id] for row_id in ids), key=_sequence)
        for row in rows:
            if row[SEQUENCE] > after and (test is None or test(row)):  # type: ignore[operator]
                yield row

    def collection(
        self,
        table: Table,
        options: Options,
        prefer: Preferences,
        path: str,
        rows: Iterable[Row] | None = None,
    ) -> Json:
        """One page of a table, or of the given rows (the target of a navigation property)."""
        if options.deltatoken is not None:
            return self._delta(table, options, prefer, path)
        if prefer.track_changes:
            return self._first_delta(table, options, prefer, path)
        project = self.projection(table, options, prefer, True)
        page_number, last = _read_cookie(options.skiptoken)
        size = MAX_PAGE if options.top is not None else prefer.page_size or MAX_PAGE
        limit = min(size, options.top) if options.top is not None else size
        sort = self._sorter(table, options)
        if rows is not None:
            test = self._test(table, options)
            matching = sorted((row for row in rows if test is None or test(row)), key=_sequence)
            if last is not None and sort is None:
                matching = [row for row in matching if row[SEQUENCE] > last[1]]  # type: ignore[operator]
            found: Iterator[Row] = iter(matching)
        else:
            found = self._rows(table, options, last[1] if last is not None and sort is None else 0)
        if sort is not None:
            ordered = sort(list(found))
            start = 0
            if last is not None:
                start = next(
                    (at + 1 for at, row in enumerate(ordered) if row[table.id_column] == last[0]),
                    (page_number - 1) * limit,
                )
            found = iter(ordered[start:])
        page = list(islice(found, limit + 1))
        answer: Json = {"@odata.context": self.context(table, options)}
        if options.count:
            every = sum(1 for _ in islice(self._all_matching(table, options, rows), MAX_PAGE))
            answer["@odata.count"] = every
        if wants(prefer.annotations, "Microsoft.Dynamics.CRM.totalrecordcount"):
            answer["@Microsoft.Dynamics.CRM.totalrecordcount"] = answer.get("@odata.count", -1)
            answer["@Microsoft.Dynamics.CRM.totalrecordcountlimitexceeded"] = False
        answer["value"] = [project(row) for row in page[:limit]]
        if len(page) > limit and options.top is None:
            token = _cookie(page_number + 1, table.id_column, page[limit - 1])
            answer["@odata.nextLink"] = self._link(path, options, "$skiptoken", token)
        return answer

    def _all_matching(self, table: Table, options: Options, rows: Iterable[Row] | None) -> Iterator[Row]:
        if rows is None:
            return self._rows(table, options, 0)
        test = self._test(table, options)
        return (row for row in rows if test is None or test(row))

    def count(self, table: Table, options: Options, rows: Iterable[Row] | None = None) -> int:
        return sum(1 for _ in islice(self._all_matching(table, options, rows), MAX_PAGE))

    def record(self, table: Table, row: Row, options: Options, prefer: Preferences) -> Json:
        item: Json = {"@odata.context": f"{self.context(table, options)}/$entity"}
        item.update(self.projection(table, options, prefer, False)(row))
        return item

    def context(self, table: Table, options: Options) -> str:
        names = list(options.select or ())
        for item in options.expand:
            names.append(f"{item.property}({','.join(item.options.select or ())})")
        inner = f"({','.join(names)})" if names else ""
        return f"{self.api_url()}$metadata#{table.entity_set}{inner}"

    def _link(self, path: str, options: Options, option: str, value: str) -> str:
        kept = [(name, text) for name, text in options.raw if name not in ("$skiptoken", "$deltatoken")]
        kept.append((option, value))
        query = "&".join(f"{quote(name, safe='$@')}={quote(text, safe='')}" for name, text in kept)
        return f"{self.api_url()}{path}?{query}"

    # ------------------------------------------------ change tracking

    def _check_delta(self, table: Table, options: Options) -> None:
        if table.name in self.untracked:
            raise CrmError(400, "0x80072491", f"Change tracking is not enabled for entity {table.name}.")
        if options.filter is not None or options.orderby or options.top is not None or options.expand:
            raise bad_request("$filter, $orderby, $expand and $top are not supported with change tracking.")

    def _token(self, version: int) -> str:
        return f"{version}!{datetime.now(timezone.utc):%m/%d/%Y %H:%M:%S}"

    def _first_delta(self, table: Table, options: Options, prefer: Preferences, path: str) -> Json:
        self._check_delta(table, options)
        plain = Preferences(page_size=prefer.page_size, annotations=prefer.annotations)
        started = self.store.version
        if options.skiptoken:
            match = re.search(r'deltaversion="(\d+)"', options.skiptoken)
            started = int(match.group(1)) if match else started
        answer = self.collection(table, options, plain, path)
        link = answer.get("@odata.nextLink")
        if isinstance(link, str):
            answer["@odata.nextLink"] = link + quote(f'<!--deltaversion="{started}"-->', safe="")
        else:
            answer["@odata.deltaLink"] = self._link(path, options, "$deltatoken", self._token(started))
        return answer

    def _delta(self, table: Table, options: Options, prefer: Preferences, path: str) -> Json:
        self._check_delta(table, options)
        match = re.fullmatch(r"(\d+)!.*", options.deltatoken or "")
        if not match:
            raise bad_request("The delta token is not valid.")
        since = int(match.group(1))
        if since > self.store.version:
            raise CrmError(400, "0x80040203", "The delta token is later than the last change of the organization.")
        if since < self.expired:
            if self.expired_links == "refused":
                raise CrmError(410, "0x80072495", "The delta token has expired.")
            since = 0
        data = self.store.tables[table.name]
        changed = [row for row in data.in_order() if row[VERSION] > since]  # type: ignore[operator]
        deleted = {each.id for each in data.deleted if each.version > since > 0}
        gone = sorted(row_id for row_id in deleted if row_id not in data.rows)
        page_number, _ = _read_cookie(options.skiptoken)
        first, last = (page_number - 1) * MAX_PAGE, page_number * MAX_PAGE
        project = self.projection(table, options, prefer, True)
        value = [project(row) for row in changed[first:last]]
        value += [
            {
                "@odata.context": f"{self.api_url()}$metadata#{table.entity_set}/$deletedEntity",
                "id": row_id,
                "reason": "deleted",
            }
            for row_id in gone[max(0, first - len(changed)) : max(0, last - len(changed))]
        ]
        answer: Json = {"@odata.context": f"{self.context(table, options)}/$delta", "value": value}
        if len(changed) + len(gone) > last:
            kept = [pair for pair in options.raw if pair[0] != "$skiptoken"]
            kept.append(("$skiptoken", f'<cookie pagenumber="{page_number + 1}" />'))
            query = "&".join(f"{quote(name, safe='$@')}={quote(text, safe='')}" for name, text in kept)
            answer["@odata.nextLink"] = f"{self.api_url()}{path}?{query}"
        else:
            answer["@odata.deltaLink"] = self._link(path, options, "$deltatoken", self._token(self.store.version))
        return answer


def _sequence(row: Row) -> int:
    return row[SEQUENCE]  # type: ignore[return-value]


def _cookie(page: int, id_column: str, last: Row) -> str:
    inner = (
        f'<cookie page="{page - 1}"><{id_column} last="{{{str(last[id_column]).upper()}}}" '
        f'first="{last[SEQUENCE]}" /></cookie>'
    )
    return f'<cookie pagenumber="{page}" pagingcookie="{quote(quote(inner, safe=""), safe="")}" istracking="False" />'


def _read_cookie(token: str | None) -> tuple[int, tuple[str, int] | None]:
    if token is None:
        return 1, None
    page = re.search(r'pagenumber="(\d+)"', token)
    if not page:
        raise CrmError(400, "0x80040203", "Malformed XML in the Paging Cookie")
    cookie = re.search(r'pagingcookie="([^"]*)"', token)
    if not cookie:
        return int(page.group(1)), None
    inner = re.search(r'last="\{([0-9A-F-]{36})\}" first="(\d+)"', unquote(unquote(cookie.group(1))))
    if not inner:
        raise CrmError(400, "0x80040203", "Malformed XML in the Paging Cookie")
    return int(page.group(1)), (inner.group(1).lower(), int(inner.group(2)))


def headers_of(prefer: Preferences) -> Mapping[str, str]:
    applied = prefer.applied()
    return {"Preference-Applied": applied} if applied else {}
