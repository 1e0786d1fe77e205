"""`loader explain`: one order, column by column: GP's columns, the rule, the staged value, CRM's value; its history."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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

_EVENTS = 5
_STATUS = "audit_order_status"


def explain(run: Run, order: str) -> dict[str, Any]:
    """Everything known of an order, staged or not. Raises NotFound where neither GP, CRM nor the journal know it."""
    model = run.contract.models[0]
    status = _status(run, order)
    staged = run.stage(model, [order])
    keys = staged.keys
    content: dict[str, Any] = {
        "order": keys[0] if keys else order,
        "status": status,
        "staged": bool(keys),
        "columns": [],
        "lines": [],
        "plan": None,
        "queue": [asdict(entry) for entry in run.journal.queue_of(order)],
        "events": [asdict(event) for event in run.journal.events(key=order, limit=_EVENTS)],
    }
    if keys:
        _add_staged(run, staged, content)
    elif status is None and not content["events"]:
        raise NotFound(f"Neither GP nor the journal knows an order {order}.", "Check the number.")
    return content


def lines(content: Mapping[str, Any]) -> Iterator[str]:
    """The same as text, in one screen."""
    yield styled(content["order"], bold=True)
    for name, value in (content["status"] or {}).items():
        if value is not None:
            yield f"  {name}: {value}"
    if not content["staged"]:
        yield "Not staged: it is out of scope."
    if content["columns"]:
        yield ""
        yield from table([("CRM COLUMN", "GP", "RULE", "STAGED", "CRM NOW", ""), *map(_column_row, content["columns"])])
    for line in content["lines"]:
        yield ""
        yield styled(f"line {line['line']}", bold=True)
        shown = [column for column in line["columns"] if column["staged"] is not None or column["crm"] is not None]
        yield from table([("CRM COLUMN", "GP", "RULE", "STAGED", "CRM NOW", ""), *map(_column_row, shown)])
    if content["plan"]:
        yield ""
        yield "A push would do:"
        yield from content["plan"]["text"]
    for entry in content["queue"]:
        yield f"Queue: {entry['state']}, {entry['reason']}, {entry['attempts']} tries: {entry['message']}"
    for event in content["events"]:
        about = f", {event['reason']}: {event['message']}" if event["reason"] else ""
        yield f"{event['happened_at']:%Y-%m-%d %H:%M} {event['outcome']}{about} (run {event['run_id'][:8]})"


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


def _add_staged(run: Run, orders: StagedOrders, content: dict[str, Any]) -> None:
    session = run.session(orders)
    staged = next(orders.orders())
    found = read_orders(run.client, session.bindings.base, [staged.key]).rows[match_key(staged.key)]
    binding = session.bindings.in_currency(currency_of(found[0]) if found else None)
    want, _, _ = desired(staged, binding, session.index)
    have = current(found[0], binding) if len(found) == 1 else None
    (plan,) = session.plan([staged])
    content["columns"] = list(_columns(staged.row, binding, want, have))
    content["lines"] = list(_lines(staged, binding, want, have))
    content["plan"] = {**plan.as_json(), "text": [plain(line) for line in _plan_text(plan)]}


def _plan_text(plan: OrderPlan) -> Iterator[str]:
    yield from order_lines(plan)
    for warning in plan.warnings:
        yield f"  warning {warning.code}: {warning.message}"


def _lines(staged: Staged, binding: Binding, want: Desired | None, have: Current | None) -> Iterator[dict[str, Any]]:
    children = binding.model.meta.children
    if binding.lines is None or children is None:
        return
    held = {line_key(line.values, binding.model): line for line in have.lines} if have else {}
    wanted = {line_key(line.values, binding.model): line for line in want.lines} if want else {}
    for row in staged.lines:
        key = tuple(row[column] for column in children.match_on)
        columns = _columns(row, binding.lines, wanted.get(key), held.get(key))
        yield {"line": ", ".join(map(str, key)), "columns": list(columns)}


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
