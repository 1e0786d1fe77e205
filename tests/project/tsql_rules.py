"""What SQL Server 2017 refuses although a parser for T-SQL takes it: one rule a construct."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import sqlglot
from sqlglot import exp
from sqlglot.tokens import Token, TokenType  # type: ignore[attr-defined]  # where older versions have them, too

Rule = Callable[[exp.Expression, list[Token]], Iterator[str]]


def breaches(sql: str, rules: dict[str, Rule] | None = None) -> list[str]:
    """What the server would refuse in `sql`, as 'rule: place'. Raises sqlglot's ParseError where it is no T-SQL."""
    tokens = sqlglot.tokenize(sql, read="tsql")
    found = []
    for statement in sqlglot.parse(sql, read="tsql"):
        if statement is not None:
            for name, rule in (RULES if rules is None else rules).items():
                found += [f"{name}: {place}" for place in rule(statement, tokens)]  # type: ignore[arg-type]
    return found


def boolean_literal(tree: exp.Expression, tokens: list[Token]) -> Iterator[str]:
    yield from _words(tokens, {"true", "false"})


def concatenation_by_pipes(tree: exp.Expression, tokens: list[Token]) -> Iterator[str]:
    yield from _kinds(tokens, {TokenType.DPIPE})


def double_colon_cast(tree: exp.Expression, tokens: list[Token]) -> Iterator[str]:
    yield from _kinds(tokens, {TokenType.DCOLON})


def limit(tree: exp.Expression, tokens: list[Token]) -> Iterator[str]:
    yield from _words(tokens, {"limit"})


def qualify(tree: exp.Expression, tokens: list[Token]) -> Iterator[str]:
    yield from _words(tokens, {"qualify"})


def grouping_by_number(tree: exp.Expression, tokens: list[Token]) -> Iterator[str]:
    for group in tree.find_all(exp.Group):
        yield from (group.sql() for item in group.expressions if isinstance(item, exp.Literal))


def order_by_outside_of_a_window(tree: exp.Expression, tokens: list[Token]) -> Iterator[str]:
    """Rows of a view have no order. Inside a window or string_agg, or with top, order by has a meaning."""
    for order in tree.find_all(exp.Order):
        place = order.parent
        has_top = isinstance(place, exp.Select) and place.args.get("limit")
        if not has_top and not isinstance(place, (exp.Window, exp.WithinGroup, exp.GroupConcat)):
            yield order.sql()


def nested_with(tree: exp.Expression, tokens: list[Token]) -> Iterator[str]:
    for clause in tree.find_all(exp.With):
        if clause.find_ancestor(exp.Subquery, exp.CTE, exp.Exists, exp.In):
            yield clause.sql()[:80]


def is_distinct_from(tree: exp.Expression, tokens: list[Token]) -> Iterator[str]:
    yield from (node.sql() for node in tree.find_all(exp.NullSafeEQ, exp.NullSafeNEQ))


def trim_of_given_characters(tree: exp.Expression, tokens: list[Token]) -> Iterator[str]:
    for trim in tree.find_all(exp.Trim):
        if trim.expression or (trim.args.get("position") and trim.sql("tsql").upper().startswith("TRIM(")):
            yield trim.sql()


def function_of_a_later_version(tree: exp.Expression, tokens: list[Token]) -> Iterator[str]:
    later = {
        *("greatest", "least", "date_trunc", "datetrunc", "date_bucket", "generate_series", "json_object"),
        *("json_array", "bit_count", "approx_percentile_cont", "left_shift", "regexp_replace", "regexp_like"),
    }
    yield from _calls(tokens, later)


def function_of_another_dialect(tree: exp.Expression, tokens: list[Token]) -> Iterator[str]:
    others = {
        *("strpos", "split_part", "regexp_matches", "regexp_full_match", "timezone", "to_char", "initcap", "lpad"),
        *("rpad", "length", "substr", "now", "ifnull", "nvl", "array_agg", "list", "bool_or", "if"),
    }
    yield from _calls(tokens, others)


def string_split_with_ordinals(tree: exp.Expression, tokens: list[Token]) -> Iterator[str]:
    for call in tree.find_all(exp.Anonymous, exp.Func):
        name = call.name if isinstance(call, exp.Anonymous) else call.sql_name()
        arguments = call.expressions if isinstance(call, exp.Anonymous) else list(call.iter_expressions())
        if name.lower() == "string_split" and len(arguments) > 2:
            yield call.sql()


def condition_as_a_value(tree: exp.Expression, tokens: list[Token]) -> Iterator[str]:
    """There is no boolean type: a condition belongs into where, on, having or when."""
    for select in tree.find_all(exp.Select):
        for item in select.expressions:
            value = item.unalias() if isinstance(item, exp.Alias) else item
            if isinstance(value, (exp.Predicate, exp.Connector, exp.Not)):
                yield value.sql()


def condition_without_comparison(tree: exp.Expression, tokens: list[Token]) -> Iterator[str]:
    """`where flag`: a column is no condition."""
    for clause in tree.find_all(exp.Where, exp.Having):
        for node in clause.this.flatten() if isinstance(clause.this, exp.Connector) else [clause.this]:
            if isinstance(node.unnest(), (exp.Column, exp.Literal)):
                yield clause.sql()


def row_comparison(tree: exp.Expression, tokens: list[Token]) -> Iterator[str]:
    for node in tree.find_all(exp.EQ, exp.In):
        if isinstance(node.this, exp.Tuple):
            yield node.sql()


def interval_or_date_literal(tree: exp.Expression, tokens: list[Token]) -> Iterator[str]:
    yield from _words(tokens, {"interval"})
    for token, following in pairwise(tokens):
        if token.text.lower() in ("date", "timestamp") and following.token_type == TokenType.STRING:
            yield f"{token.text} '{following.text}'"


def join_using(tree: exp.Expression, tokens: list[Token]) -> Iterator[str]:
    yield from (join.sql() for join in tree.find_all(exp.Join) if join.args.get("using"))


def ilike(tree: exp.Expression, tokens: list[Token]) -> Iterator[str]:
    yield from _words(tokens, {"ilike", "similar"})


def filtered_aggregate(tree: exp.Expression, tokens: list[Token]) -> Iterator[str]:
    yield from (node.sql() for node in tree.find_all(exp.Filter))


def nulls_first_or_last(tree: exp.Expression, tokens: list[Token]) -> Iterator[str]:
    for token, following in pairwise(tokens):
        if token.text.lower() == "nulls" and following.text.lower() in ("first", "last"):
            yield f"nulls {following.text}"


def null_without_a_type(tree: exp.Expression, tokens: list[Token]) -> Iterator[str]:
    """A column that is nothing but null is an int, which a text elsewhere in its column cannot become. In a branch of a
    union it takes the type of the others."""
    for query in tree.find_all(exp.CTE, exp.Subquery):
        if isinstance(query.this, exp.Select) and not query.find_ancestor(exp.Exists, exp.In):
            for item in query.this.expressions:
                if isinstance(item, exp.Alias) and isinstance(item.this, exp.Null):
                    yield f"{query.alias}.{item.alias}"


def reserved_alias(tree: exp.Expression, tokens: list[Token]) -> Iterator[str]:
    reserved = {"user", "order", "percent", "schema", "key", "plan", "open", "close", "rule", "rowcount", "national"}
    for alias in tree.find_all(exp.Alias, exp.TableAlias, exp.CTE):
        name = alias.args.get("alias") if isinstance(alias, (exp.Alias, exp.CTE)) else alias.this
        name = name.this if isinstance(name, exp.TableAlias) else name
        if isinstance(name, exp.Identifier) and not name.quoted and name.name.lower() in reserved:
            yield name.name


def unnamed_column(tree: exp.Expression, tokens: list[Token]) -> Iterator[str]:
    """Models and tests become views, whose columns need names. Inside exists they do not."""
    for select in tree.find_all(exp.Select):
        if select.find_ancestor(exp.Exists, exp.In) or _is_scalar(select):
            continue
        for item in select.expressions:
            if not isinstance(item, (exp.Alias, exp.Column, exp.Star)):
                yield item.sql()


def _is_scalar(select: exp.Select) -> bool:
    """A query in the place of a value; its column needs no name."""
    place = select.parent
    return isinstance(place, exp.Subquery) and not isinstance(
        place.parent, (exp.From, exp.Join, exp.CTE, exp.SetOperation)
    )


def _words(tokens: list[Token], words: set[str]) -> Iterator[str]:
    for token in tokens:
        if token.text.lower() in words and token.token_type not in (TokenType.STRING, TokenType.IDENTIFIER):
            yield f"line {token.line}: {token.text}"


def _calls(tokens: list[Token], names: set[str]) -> Iterator[str]:
    for token, following in pairwise(tokens):
        if token.text.lower() in names and following.token_type == TokenType.L_PAREN:
            yield f"line {token.line}: {token.text}()"


def _kinds(tokens: list[Token], kinds: set[TokenType]) -> Iterator[str]:
    yield from (f"line {token.line}: {token.text}" for token in tokens if token.token_type in kinds)


def end_that_takes_no_order(tree: exp.Expression, tokens: list[Token]) -> Iterator[str]:
    """`dbt show` appends `order by (select null)`, which a union and a select distinct refuse."""
    if not isinstance(tree, exp.Select) or tree.args.get("distinct"):
        yield tree.sql()[-80:]


RULES: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (
        *(boolean_literal, concatenation_by_pipes, double_colon_cast, limit, qualify, grouping_by_number),
        *(order_by_outside_of_a_window, nested_with, is_distinct_from, trim_of_given_characters),
        *(function_of_a_later_version, function_of_another_dialect, string_split_with_ordinals),
        *(condition_as_a_value, condition_without_comparison, row_comparison, interval_or_date_literal, join_using),
        *(ilike, filtered_aggregate, nulls_first_or_last, null_without_a_type, reserved_alias),
        *(unnamed_column, end_that_takes_no_order),
    )
}
