"""`loader explain`: one order, column by column: GP's columns, the rule, the staged value, CRM's value; its history."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from loader.errors import NotFound
from loader.keys import fold, folded
from loader.report.text import order_lines, table
from loader.run import Run, StagedOrders
from loader.sync.binding import Binding
from loader.sync.gather import read_orders
from loader.sync.lookups import match_key
from loader.sync.plan import OrderPlan
from loader.sync.records import Current, Desired, Staged, currency_of, current, desired, line_key
from loader.visible import plain, styled, visible
from loader.warehouse.connection import columns_of, quoted

LINES = 100
"""Lines of an order, and warnings, that are shown unless all are asked for."""
_EVENTS = 5
_STATUS = "audit_order_status"


def explain(
    run: Run, order: str, tell: Callable[[Mapping[str, Any]], None] = lambda line: None, every_line: bool = False
) -> dict[str, Any]:
    """Everything known of an order, staged or not. Raises NotFound where neither GP, CRM nor the journal know it.

    `tell` gets its lines one by one. Of an order of more than `LINES` it gets those that differ from CRM first, and no
    more than `LINES` unless `every_line` is asked for.
    """
    model = run.contract.models[0]
    status = _status(run, order)
    staged = run.stage(model, [order])
    keys = staged.keys
    content: dict[str, Any] = {
        "order": keys[0] if keys else order,
        "status": status,
        "staged": bool(keys),
        "columns": [],
        "line_count": 0,
        "lines_left_out": 0,
        "plan": None,
        "queue": [asdict(entry) for entry in run.journal.queue_of(order)],
        "events": [asdict(event) for event in run.journal.events(key=order, limit=_EVENTS)],
    }
    if keys:
        _add_staged(run, staged, content, tell, every_line)
    elif status is None and not content["events"]:
        raise NotFound(f"Neither GP nor the journal knows an order {order}.", "Check the number.")
    return content


def lines(content: Mapping[str, Any], told: Iterable[str]) -> Iterator[str]:
    """The same as text; `told` are the lines of text that `line_text` made of its lines."""
    yield styled(content["order"], bold=True)
    for name, value in (content["status"] or {}).items():
        if value is not None:
            yield f"  {name}: {value}"
    if not content["staged"]:
        yield "Not staged: it is out of scope."
    if content["columns"]:
        yield ""
        yield from table([("CRM COLUMN", "GP", "RULE", "STAGED", "CRM NOW", ""), *map(_column_row, content["columns"])])
    yield from told
    if content["lines_left_out"]:
        yield ""
        yield f"{content['lines_left_out']:,} of {content['line_count']:,} lines are left out; -v shows all."
    if content["plan"]:
        yield ""
        yield "A push would do:"
        yield from content["plan"]["text"]
    for entry in content["queue"]:
        yield f"Queue: {entry['state']}, {entry['reason']}, {entry['attempts']} tries: {entry['message']}"
    for event in content["events"]:
        about = f", {event['reason']}: {event['message']}" if event["reason"] else ""
        yield f"{event['happened_at']:%Y-%m-%d %H:%M} {event['outcome']}{about} (run {event['run_id'][:8]})"


def line_text(line: Mapping[str, Any]) -> Iterator[str]:
    """One of the order's lines, as text."""
    yield ""
    yield styled(f"line {line['line']}", bold=True)
    shown = [column for column in line["columns"] if column["staged"] is not None or column["crm"] is not None]
    yield from table([("CRM COLUMN", "GP", "RULE", "STAGED", "CRM NOW", ""), *map(_column_row, shown)])


def _column_row(column: Mapping[str, Any]) -> tuple[str, ...]:
    mark = "" if column["equal"] is None else "=" if column["equal"] else "≠"
    return (
        column["column"],
        ", ".join(column["gp"]),
        _short(column["rule"], 40),
        _short(column["staged"]),
        _short(column["crm"]),
        mark,
    )


def _short(value: object, width: int = 36) -> str:
    text = "" if value is None else visible(str(value).rstrip())
    return text if len(text) <= width else text[: width - 1] + "…"


def _status(run: Run, order: str) -> dict[str, Any] | None:
    relation = run.contract.relations.get(_STATUS)
    if relation is None:
        return None
    names = columns_of(run.warehouse, relation)
    if not names:
        return None
    columns = ", ".join(map(quoted, names))
    rows = run.warehouse.query(
        f"select {columns} from {relation} where {folded(quoted('order_number'))} = ?", [fold(order)]
    )
    return dict(zip(names, rows[0], strict=True)) if rows else None


def _add_staged(
    run: Run,
    orders: StagedOrders,
    content: dict[str, Any],
    tell: Callable[[Mapping[str, Any]], None],
    every_line: bool,
) -> None:
    session = run.session(orders)
    staged = next(orders.orders())
    found = read_orders(run.client, session.bindings.base, [staged.key]).rows[match_key(staged.key)]
    binding = session.bindings.in_currency(currency_of(found[0]) if found else None)
    want, _, _ = desired(staged, binding, session.index)
    have = current(found[0], binding) if len(found) == 1 else None
    (plan,) = session.plan([staged])
    content["columns"] = list(_columns(staged.row, binding, want, have))
    for line in _lines(staged, binding, want, have, every_line):
        tell(line)
    content["line_count"] = len(staged.lines)
    content["lines_left_out"] = 0 if every_line else max(len(staged.lines) - LINES, 0)
    content["plan"] = {**plan.as_json(), "text": [plain(line) for line in _plan_text(plan)]}


def _plan_text(plan: OrderPlan) -> Iterator[str]:
    yield from order_lines(plan)
    warned = list(dict.fromkeys((warning.code, warning.message) for warning in plan.warnings))
    for code, message in warned[:LINES]:
        yield f"  warning {code}: {message}"
    if len(warned) > LINES:
        yield f"  and {len(warned) - LINES:,} more warnings"


def _lines(
    staged: Staged, binding: Binding, want: Desired | None, have: Current | None, every_line: bool
) -> Iterator[dict[str, Any]]:
    children = binding.model.meta.children
    if binding.lines is None or children is None:
        return
    held = {line_key(line.values, binding.model): line for line in have.lines} if have else {}
    wanted = {line_key(line.values, binding.model): line for line in want.lines} if want else {}

    def key_of(row: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(row[column] for column in children.match_on)

    def is_equal(row: Mapping[str, Any]) -> bool:
        after, now = wanted.get(key_of(row)), held.get(key_of(row))
        return bool(after and now and all(now.values.get(name) == value for name, value in after.values.items()))

    rows = staged.lines
    if len(rows) > LINES and not every_line:
        rows = sorted(rows, key=is_equal)[:LINES]
    for row in rows:
        columns = _columns(row, binding.lines, wanted.get(key_of(row)), held.get(key_of(row)))
        yield {"line": ", ".join(map(str, key_of(row))), "columns": list(columns)}


def _columns(
    row: Mapping[str, Any], binding: Binding, want: Desired | None, have: Current | None
) -> Iterator[dict[str, Any]]:
    for column in binding.model.sent:
        after = {**want.values, **want.state} if want else {}
        now = {**have.values, **have.state} if have else {}
        comparable = column.name in after and have is not None
        yield {
            "column": column.name,
            "gp": column.meta.gp.columns,
            "rule": column.meta.gp.rule,
            "staged": row[column.name],
            "sent": after.get(column.name),
            "crm": now.get(column.name),
            "equal": after[column.name] == now.get(column.name) if comparable else None,
        }
