"""One order, column by column: GP's columns, the rule, the staged value, CRM's value; its history."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from loader.errors import NotFound
from loader.keys import fold, folded, match_key
from loader.push.gather import read_orders
from loader.push.session import open_session
from loader.run import Run, StagedOrders
from loader.sync.binding import Binding
from loader.sync.plan import OrderPlan
from loader.sync.records import Current, Desired, Staged, currency_of, current, desired, line_key, line_value
from loader.warehouse.connection import columns_of, quoted

LINES = 100
"""Lines of an order, and warnings, that are shown unless all are asked for."""
_EVENTS = 5
_STATUS = "audit_order_status"


def explain(
    run: Run,
    order: str,
    tell: Callable[[Mapping[str, Any]], None] = lambda line: None,
    every_line: bool = False,
    words: Callable[[OrderPlan], list[str]] = lambda plan: [],
) -> dict[str, Any]:
    """Everything known of an order, staged or not. Raises NotFound where neither GP, CRM nor the journal know it.

    `tell` gets its lines one by one. Of an order of more than `LINES` it gets those that differ from CRM first, and no
    more than `LINES` unless `every_line` is asked for. `words` tells its plan as lines of text.
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
        _add_staged(run, staged, content, tell, every_line, words)
    elif status is None and not content["events"]:
        raise NotFound(f"Neither GP nor the journal knows an order {order}.", "Check the number.")
    return content


def _status(run: Run, order: str) -> dict[str, Any] | None:
    relation = run.contract.relations.get(_STATUS)
    if relation is None:
        return None
    names = columns_of(run.warehouse, relation)
    if not names:
        return None
    columns = ", ".join(map(quoted, names))
    key = folded(quoted("order_number"), run.warehouse.dialect)
    rows = run.warehouse.query(f"select {columns} from {relation} where {key} = ?", [fold(order)])
    return dict(zip(names, rows[0], strict=True)) if rows else None


def _add_staged(
    run: Run,
    orders: StagedOrders,
    content: dict[str, Any],
    tell: Callable[[Mapping[str, Any]], None],
    every_line: bool,
    words: Callable[[OrderPlan], list[str]],
) -> None:
    session = open_session(run, orders)
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
    content["plan"] = {**plan.as_json(), "text": words(plan)}


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
        yield {"line": line_value(key_of(row)), "columns": list(columns)}


def _columns(
    row: Mapping[str, Any], binding: Binding, want: Desired | None, have: Current | None
) -> Iterator[dict[str, Any]]:
    for column in binding.model.sent:
        after = {**want.values, **want.state} if want else {}
        now = {**have.values, **have.state} if have else {}
        comparable = column.name in after and have is not None
        yield {
            "column": column.name,
            "gp": list(column.meta.gp),
            "rule": column.meta.rule,
            "staged": row[column.name],
            "sent": after.get(column.name),
            "crm": now.get(column.name),
            "equal": after[column.name] == now.get(column.name) if comparable else None,
        }
