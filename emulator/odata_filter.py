"""`$filter`: text → tokens → tree → a function of a row, and the ids that an index says can match.

Comparison is SQL Server's: text without case and trailing blanks, and a null is neither equal nor unequal to a value.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol, TypeAlias

from .errors import CrmError, bad_request, not_implemented
from .metadata import Column
from .store import Ref, Row, Value, fold
from .values import GUID, ListLexer, parse_date, parse_instant

# ---------------------------------------------------------------- tree


@dataclass(frozen=True)
class Literal:
    kind: str  # string, number, guid, moment, boolean, null
    value: str | int | Decimal | bool | None


@dataclass(frozen=True)
class Path:
    """`name` or `customerid_account/accountnumber`."""

    parts: tuple[str, ...]

    def __str__(self) -> str:
        return "/".join(self.parts)


@dataclass(frozen=True)
class Compare:
    operator: str
    left: Path | Literal
    right: Path | Literal


@dataclass(frozen=True)
class TextMatch:
    function: str  # contains, startswith, endswith
    path: Path
    text: str


@dataclass(frozen=True)
class In:
    path: Path
    values: tuple[str, ...]
    negated: bool


@dataclass(frozen=True)
class Not:
    inner: Node


@dataclass(frozen=True)
class Both:
    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Either:
    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Some:
    """`order_details/any(o:o/quantity gt 1)` and `all`."""

    path: Path
    variable: str
    inner: Node | None
    every: bool


Node: TypeAlias = "Compare | TextMatch | In | Not | Both | Either | Some"

# ---------------------------------------------------------------- tokens

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<guid>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})(?![\w-])
    | (?P<moment>\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?)?)(?![\w-])
    | (?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w])
    | (?P<string>'(?:[^']|'')*')
    | (?P<name>@?[A-Za-z_][\w.]*)
    | (?P<mark>[(),/:=])
    )""",
    re.VERBOSE,
)
_IN_ITEM = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^']|'')*)')\s*(,|$)""")

OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}
_KIND_NAMES = {
    "eq": "Equal",
    "ne": "NotEqual",
    "gt": "GreaterThan",
    "ge": "GreaterThanOrEqual",
    "lt": "LessThan",
    "le": "LessThanOrEqual",
}
PREFIX = "Microsoft.Dynamics.CRM."
_LIST = re.compile(r"\s*\[")
_BALANCE = re.compile(r"""["'\[\]]""")


def list_end(text: str, start: int, lexer: ListLexer) -> int:
    """The position behind the list that begins at `start`, as OData's lexer counts its brackets.

    Up to the change that mended issue 2737 of OData/odata.net it counts those in double quotes as well; before version
    7.7 (issue 1313) an apostrophe in double quotes begins a quotation.
    """
    first = text.find("]", start)
    inner = text[start + 1 : first]
    if first > 0 and inner.count('"') % 2 == 0 and not any(mark in inner for mark in ("[", "'", '\\"')):
        return first + 1
    versions = ("before 7.7", "7.7", "mended") if lexer == "any" else (lexer,)
    ends = {_balanced(text, start, version) for version in versions}
    end = ends.pop()
    if ends or end is None:
        raise bad_request("Found an unbalanced bracket expression.")
    return end


def _balanced(text: str, start: int, version: str) -> int | None:
    depth, in_quotes, quotation_end = 0, False, start
    for match in _BALANCE.finditer(text, start):
        char, position = match[0], match.start()
        if position < quotation_end:
            continue
        if char == '"' and version != "before 7.7":
            in_quotes ^= not (in_quotes and _is_escaped(text, position, version))
        elif char == "'" and not in_quotes:
            quotation_end = text.find("'", position + 1) + 1
            if not quotation_end:
                return None
        elif char in "[]" and not (in_quotes and version == "mended"):
            depth += 1 if char == "[" else -1
            if depth == 0:
                return position + 1
    return None


def _is_escaped(text: str, position: int, version: str) -> bool:
    """Whether a backslash makes this quote part of the text. Version 7.7 looks at only one character."""
    backslashes = 0
    while text[position - 1 - backslashes] == "\\":
        backslashes += 1
    return backslashes % 2 == 1 if version == "mended" else backslashes > 0


def tokenise(text: str, lexer: ListLexer = "any") -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    position, end = 0, len(text.rstrip())
    while position < end:
        opening = _LIST.match(text, position)
        if opening:
            start, position = opening.end() - 1, list_end(text, opening.end() - 1, lexer)
            tokens.append(("list", text[start:position]))
            continue
        match = _TOKEN.match(text, position)
        if not match:
            raise bad_request(f"Syntax error at position {position} in '{text}'.")
        kind = match.lastgroup
        assert kind is not None
        tokens.append((kind, match.group(kind)))
        position = match.end()
    return tokens


class _Parser:
    def __init__(self, text: str, aliases: dict[str, str], lexer: ListLexer) -> None:
        self.text = text
        self.aliases = aliases
        self.lexer = lexer
        self.tokens = tokenise(text, lexer)
        self.position = 0

    def peek(self) -> tuple[str, str]:
        return self.tokens[self.position] if self.position < len(self.tokens) else ("end", "")

    def take(self) -> tuple[str, str]:
        token = self.peek()
        self.position += 1
        return token

    def expect(self, mark: str) -> None:
        if self.take()[1] != mark:
            raise self.error()

    def error(self) -> CrmError:
        return bad_request(f"Syntax error in '{self.text}': '{mark_or_end(self.tokens, self.position - 1)}'.")

    def parse(self) -> Node:
        node = self.either()
        if self.peek()[0] != "end":
            self.take()
            raise self.error()
        return node

    def either(self) -> Node:
        parts = [self.both()]
        while self.peek() == ("name", "or"):
            self.take()
            parts.append(self.both())
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def both(self) -> Node:
        parts = [self.term()]
        while self.peek() == ("name", "and"):
            self.take()
            parts.append(self.term())
        return parts[0] if len(parts) == 1 else Both(tuple(parts))

    def term(self) -> Node:
        kind, text = self.peek()
        if (kind, text) == ("name", "not"):
            self.take()
            return Not(self.term())
        if text == "(" and kind == "mark":
            self.take()
            node = self.either()
            self.expect(")")
            return node
        if kind == "name" and self.tokens[self.position + 1 : self.position + 2] == [("mark", "(")]:
            return self.function()
        left = self.operand()
        if isinstance(left, Path) and left.parts[-1] in ("any", "all") and self.peek() == ("mark", "("):
            return self.some(left)
        kind, name = self.take()
        if kind != "name" or name not in OPERATORS:
            raise self.error()
        return Compare(name, left, self.operand())

    def some(self, path: Path) -> Node:
        self.expect("(")
        where = Path(path.parts[:-1])
        every = path.parts[-1] == "all"
        if self.peek() == ("mark", ")") and not every:
            self.take()
            return Some(where, "", None, every)
        kind, variable = self.take()
        if kind != "name":
            raise self.error()
        self.expect(":")
        inner = self.either()
        self.expect(")")
        return Some(where, variable, inner, every)

    def operand(self) -> Path | Literal:
        kind, text = self.take()
        if kind == "name" and text.startswith("@"):
            if text not in self.aliases:
                raise bad_request(f"The parameter alias '{text}' has no value.")
            return _Parser(self.aliases[text], {}, self.lexer).operand()
        if kind == "name" and text not in ("null", "true", "false"):
            parts = [text]
            while self.peek() == ("mark", "/"):
                self.take()
                kind, part = self.take()
                if kind != "name":
                    raise self.error()
                parts.append(part)
            if "." in text and self.peek()[0] == "string":  # a member of an enumeration
                kind, text = self.take()
                return Literal("string", unquote(text))
            return Path(tuple(parts))
        literal = literal_of(kind, text)
        if literal is None:
            raise self.error()
        return literal

    def function(self) -> Node:
        _, name = self.take()
        self.expect("(")
        if name.startswith(PREFIX):
            return self.crm_function(name[len(PREFIX) :])
        if name not in ("contains", "startswith", "endswith"):
            raise bad_request(f"An unknown function with name '{name}' was found.")
        path = self.operand()
        self.expect(",")
        text = self.operand()
        self.expect(")")
        if not isinstance(path, Path) or not isinstance(text, Literal) or text.kind != "string":
            raise bad_request(f"No function signature for the function with name '{name}' matches the arguments.")
        return TextMatch(name, path, str(text.value))

    def crm_function(self, name: str) -> Node:
        if name not in ("In", "NotIn"):
            raise not_implemented(f"The query function {PREFIX}{name}")
        arguments: dict[str, tuple[str, str]] = {}
        while True:
            kind, argument = self.take()
            self.expect("=")
            kind, value = self.take()
            if kind == "name" and value in self.aliases:
                kind, value = tokenise(self.aliases[value], self.lexer)[0]
            arguments[argument] = (kind, value)
            _, mark = self.take()
            if mark == ")":
                break
            if mark != ",":
                raise self.error()
        if set(arguments) != {"PropertyName", "PropertyValues"}:
            raise bad_request(
                f"The function {PREFIX}{name} has the parameters PropertyName and PropertyValues, not "
                f"{', '.join(sorted(arguments))}."
            )
        (kind, quoted), (list_kind, values) = arguments["PropertyName"], arguments["PropertyValues"]
        if kind != "string" or list_kind != "list":
            raise bad_request(f"{PREFIX}{name} needs PropertyName='…' and PropertyValues=[…].")
        path = Path(tuple(unquote(quoted).split("/")))
        return In(path, tuple(list_items(values)), name == "NotIn")


def mark_or_end(tokens: Sequence[tuple[str, str]], position: int) -> str:
    return tokens[position][1] if 0 <= position < len(tokens) else "end of expression"


def unquote(text: str) -> str:
    return text[1:-1].replace("''", "'")


def list_items(text: str) -> Iterable[str]:
    """`["a","b"]` or `['a','b']` → a, b. Double quotes allow JSON's escapes, single quotes OData's."""
    position, end = 1, len(text) - 1
    if not text[1:-1].strip():
        raise bad_request("The list of values is empty.")
    inner = text[:end]
    while position <= end:
        match = _IN_ITEM.match(inner, position)
        if not match:
            raise bad_request(f"The list of values cannot be read: {text[:200]}")
        double, single, after = match.groups()
        yield json.loads(f'"{double}"') if double is not None else single.replace("''", "'")
        position = match.end()
        if not after:
            break


def literal_of(kind: str, text: str) -> Literal | None:
    if kind == "string":
        return Literal("string", unquote(text))
    if kind == "number":
        number = Decimal(text)
        return Literal("number", int(number) if re.fullmatch(r"-?\d+", text) else number)
    if kind == "guid":
        return Literal("guid", text.lower())
    if kind == "moment":
        return Literal("moment", text)
    if kind == "name" and text in ("true", "false"):
        return Literal("boolean", text == "true")
    if kind == "name" and text == "null":
        return Literal("null", None)
    return None


def parse_filter(text: str, aliases: dict[str, str] | None = None, lexer: ListLexer = "any") -> Node:
    if not text.strip():
        raise bad_request("The $filter expression must evaluate to a single boolean value.")
    return _Parser(text, aliases or {}, lexer).parse()


# ---------------------------------------------------------------- meaning

Test = Callable[[Row], "bool | None"]
Ids = "set[str] | dict[str, None]"


class Source(Protocol):
    """What the compiler asks about a table and its rows."""

    def column(self, table: str, name: str, *, logical: bool = False) -> Column: ...

    def reader(self, column: Column) -> Callable[[Row], Value]: ...

    def follow(self, table: str, lookup: str) -> tuple[str, Callable[[Row], Row | None]]: ...

    def gather(self, table: str, collection: str) -> tuple[str, Callable[[Row], Iterable[Row]]]: ...

    def ids_where(self, column: Column, values: Iterable[Value]) -> list[str] | None: ...

    def ids_referring(self, table: str, lookup: str, ids: Iterable[str]) -> list[str] | None: ...


_NUMERIC = ("Integer", "BigInt", "Money", "Decimal", "Double", "Picklist", "State", "Status")


def typed(column: Column, literal: Literal, symbol: str) -> Value | bool:
    """The literal as the column stores it. Refuses another type, as OData does."""
    kind, value = literal.kind, literal.value
    if column.type in _NUMERIC and kind == "number":
        assert isinstance(value, (int, Decimal))
        return value
    if column.type in ("String", "Memo", "EntityName") and kind == "string":
        return str(value)
    if column.type == "Boolean" and kind == "boolean":
        return bool(value)
    if column.edm_type == "Edm.Guid" and kind == "guid":
        return str(value)
    if column.type == "DateTime" and kind == "moment":
        text = str(value)
        if column.behavior == "DateOnly":
            stored = parse_date(text[:10])
        else:
            whole = text if "T" in text else f"{text}T00:00:00Z"
            stored = parse_instant(whole if whole[-1] in "Zz" or whole[-6] in "+-" else f"{whole}Z")
        if stored is not None:
            return stored
    names = {
        "string": "Edm.String",
        "number": "Edm.Int32",
        "guid": "Edm.Guid",
        "moment": "Edm.DateTimeOffset",
        "boolean": "Edm.Boolean",
    }
    raise bad_request(
        "A binary operator with incompatible types was detected. Found operand types "
        f"'{column.edm_type}' and '{names[kind]}' for operator kind '{_KIND_NAMES[symbol]}'."
    )


def from_text(column: Column, text: str) -> Value | bool:
    """A value of `In` as the column stores it. All values of `In` are text."""
    try:
        if column.type in ("Money", "Decimal", "Double"):
            return Decimal(text)
        if column.type in _NUMERIC:
            return int(text)
    except (ValueError, InvalidOperation):
        raise bad_request(f"The value '{text}' of '{column.name}' is not a number.", "0x80040203") from None
    if column.type == "Boolean":
        return text.lower() in ("1", "true")
    if column.edm_type == "Edm.Guid":
        if not GUID.fullmatch(text.strip("{}")):
            raise bad_request(f"The value '{text}' of '{column.name}' is not a GUID.", "0x80040203")
        return text.strip("{}").lower()
    if column.type == "DateTime":
        return parse_instant(text) or parse_date(text) or text
    return text


def compile_filter(node: Node, table: str, source: Source) -> Test:
    """A test of a row: True, False, or None for unknown (a null was compared)."""
    if isinstance(node, Both):
        tests = [compile_filter(part, table, source) for part in node.parts]

        def both(row: Row) -> bool | None:
            result: bool | None = True
            for test in tests:
                outcome = test(row)
                if outcome is False:
                    return False
                if outcome is None:
                    result = None
            return result

        return both
    if isinstance(node, Either):
        tests = [compile_filter(part, table, source) for part in node.parts]

        def either(row: Row) -> bool | None:
            result: bool | None = False
            for test in tests:
                outcome = test(row)
                if outcome:
                    return True
                if outcome is None:
                    result = None
            return result

        return either
    if isinstance(node, Not):
        inner = compile_filter(node.inner, table, source)

        def negated(row: Row) -> bool | None:
            outcome = inner(row)
            return None if outcome is None else not outcome

        return negated
    if isinstance(node, Some):
        return _some(node, table, source)
    if isinstance(node, In):
        return _in(node, table, source)
    if isinstance(node, TextMatch):
        return _text_match(node, table, source)
    return _compare(node, table, source)


def _path(path: Path, table: str, source: Source, *, logical: bool = False) -> tuple[Column, Callable[[Row], Value]]:
    """The column at the end of a path, and how to read it from a row of the first table."""
    hops: list[Callable[[Row], Row | None]] = []
    for part in path.parts[:-1]:
        table, hop = source.follow(table, part)
        hops.append(hop)
    column = source.column(table, path.parts[-1], logical=logical)
    read = source.reader(column)
    if not hops:
        return column, read

    def through(row: Row) -> Value:
        current: Row | None = row
        for hop in hops:
            assert current is not None
            current = hop(current)
            if current is None:
                return None
        assert current is not None
        return read(current)

    return column, through


def _compare(node: Compare, table: str, source: Source) -> Test:
    left, right, symbol = node.left, node.right, node.operator
    if isinstance(left, Literal) and isinstance(right, Literal):
        raise bad_request("A comparison needs a column on one side.")
    if isinstance(left, Literal):
        left, right = right, left
        symbol = {"gt": "lt", "ge": "le", "lt": "gt", "le": "ge"}.get(symbol, symbol)
    assert isinstance(left, Path)
    column, read = _path(left, table, source)
    test = OPERATORS[symbol]
    if isinstance(right, Path):
        _, read_other = _path(right, table, source)

        def columns(row: Row) -> bool | None:
            one, other = read(row), read_other(row)
            return None if one is None or other is None else test(fold(one), fold(other))

        return columns
    if right.kind == "null":
        if symbol == "eq":
            return lambda row: read(row) is None
        if symbol == "ne":
            return lambda row: read(row) is not None
        return lambda row: None
    value = typed(column, right, symbol)
    wanted = value if isinstance(value, bool) else fold(value)

    def constant(row: Row) -> bool | None:
        found = read(row)
        return None if found is None else test(fold(found), wanted)

    return constant


def _in(node: In, table: str, source: Source) -> Test:
    column, read = _path(node.path, table, source, logical=True)
    wanted = {fold(from_text(column, text)) for text in node.values}
    negated = node.negated

    def member(row: Row) -> bool | None:
        found = read(row)
        return None if found is None else (fold(found) in wanted) != negated

    return member


def _text_match(node: TextMatch, table: str, source: Source) -> Test:
    column, read = _path(node.path, table, source)
    if column.edm_type != "Edm.String":
        raise bad_request(
            f"No function signature for the function with name '{node.function}' matches the specified arguments."
        )
    text = node.text.casefold()
    test: Callable[[str], bool] = {
        "contains": lambda value: text in value,
        "startswith": lambda value: value.startswith(text),
        "endswith": lambda value: value.endswith(text),
    }[node.function]

    def match(row: Row) -> bool | None:
        found = read(row)
        return None if found is None else test(str(found).casefold())

    return match


def _some(node: Some, table: str, source: Source) -> Test:
    if len(node.path.parts) != 1:
        raise not_implemented("any/all behind a look-up")
    target, rows = source.gather(table, node.path.parts[0])
    if node.inner is None:
        return lambda row: any(True for _ in rows(row))
    test = compile_filter(_without(node.inner, node.variable), target, source)
    if node.every:
        return lambda row: all(test(child) is True for child in rows(row))
    return lambda row: any(test(child) is True for child in rows(row))


def _without(node: Node, variable: str) -> Node:
    """The tree, with the lambda's variable removed from its paths."""

    def strip(path: Path) -> Path:
        if path.parts[0] != variable or len(path.parts) < 2:
            raise bad_request(f"Could not find a property named '{path}': use the range variable '{variable}'.")
        return Path(path.parts[1:])

    if isinstance(node, (Both, Either)):
        return type(node)(tuple(_without(part, variable) for part in node.parts))
    if isinstance(node, Not):
        return Not(_without(node.inner, variable))
    if isinstance(node, Compare):
        left = strip(node.left) if isinstance(node.left, Path) else node.left
        right = strip(node.right) if isinstance(node.right, Path) else node.right
        return Compare(node.operator, left, right)
    if isinstance(node, TextMatch):
        return TextMatch(node.function, strip(node.path), node.text)
    raise not_implemented("this condition in any/all")


def candidates(node: Node, table: str, source: Source) -> list[str] | None:
    """Ids that include all matches, from an index; None if no index helps."""
    if isinstance(node, Both):
        found = [ids for ids in (candidates(part, table, source) for part in node.parts) if ids is not None]
        return min(found, key=len) if found else None
    if isinstance(node, Either):
        union: dict[str, None] = {}
        for part in node.parts:
            ids = candidates(part, table, source)
            if ids is None:
                return None
            union.update(dict.fromkeys(ids))
        return list(union)
    if isinstance(node, In) and not node.negated:
        return _by_index(
            node.path, table, source, lambda column: [from_text(column, text) for text in node.values], logical=True
        )
    if isinstance(node, Compare) and node.operator == "eq":
        left, right = node.left, node.right
        if isinstance(left, Literal):
            left, right = right, left
        if isinstance(left, Path) and isinstance(right, Literal) and right.kind != "null":
            literal = right
            return _by_index(left, table, source, lambda column: [typed(column, literal, "eq")])
    return None


def _by_index(
    path: Path, table: str, source: Source, values: Callable[[Column], list[Value]], *, logical: bool = False
) -> list[str] | None:
    hops = []
    for part in path.parts[:-1]:
        hops.append((table, part))
        table, _ = source.follow(table, part)
    column = source.column(table, path.parts[-1], logical=logical)
    ids = source.ids_where(column, values(column))
    for referring, lookup in reversed(hops):
        if ids is None:
            return None
        ids = source.ids_referring(referring, lookup, ids)
    return ids


# ---------------------------------------------------------------- metadata


def matches(node: Node, item: dict[str, object]) -> bool:
    """The same language for one metadata object, with exact names and exact text."""
    if isinstance(node, Both):
        return all(matches(part, item) for part in node.parts)
    if isinstance(node, Either):
        return any(matches(part, item) for part in node.parts)
    if isinstance(node, Not):
        return not matches(node.inner, item)
    if isinstance(node, TextMatch):
        value = str(_dig(node.path, item) or "")
        return {
            "contains": node.text in value,
            "startswith": value.startswith(node.text),
            "endswith": value.endswith(node.text),
        }[node.function]
    if isinstance(node, Compare) and isinstance(node.left, Path) and isinstance(node.right, Literal):
        left, right = _dig(node.left, item), node.right.value
        if isinstance(right, str) and not isinstance(left, str):
            left = None if left is None else str(left)
        if node.operator in ("eq", "ne"):
            return (left == right) == (node.operator == "eq")
        return left is not None and OPERATORS[node.operator](left, right)
    raise not_implemented("This filter on metadata")


def _dig(path: Path, item: dict[str, object]) -> object:
    value: object = item
    for part in path.parts:
        if not isinstance(value, dict) or part not in value:
            raise bad_request(f"Could not find a property named '{part}' on the metadata type.")
        value = value[part]
    return value


__all__ = ["Ref", "candidates", "compile_filter", "matches", "parse_filter"]
