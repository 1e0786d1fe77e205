"""The figures of the report: the last run, the trend, and what waits for what, out of the journal and the views."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

from loader.contract import Model
from loader.keys import match_key
from loader.push.tally import OUTCOMES
from loader.reasons import remedy
from loader.run import Run
from loader.warehouse.connection import quoted
from loader.warehouse.journal import RunCounts, RunRecord

MOST = 500
"""Rows of a table on the page: a browser sorts and filters so many at once. The totals count all."""

MOST_MISSING = 20_000
"""Different rows that CRM lacks and that are told apart; a queue may be longer than memory is large."""

_AMOUNT, _CUSTOMER, _CUSTOMER_NAME = "totalamount", "customerid", "description"
_EXAMPLES = 3


@dataclass(frozen=True)
class Order:
    """What the page tells of a staged order."""

    amount: Decimal | None = None
    customer: str | None = None
    customer_name: str | None = None


@dataclass
class Tally:
    """How many orders of the queue have something in common, since when, and what the staged ones are worth."""

    number: int = 0
    amount: Decimal = Decimal(0)
    since: dt.datetime | None = None
    examples: list[str] = field(default_factory=list)
    other: str = ""
    """An example that may be staged no more."""

    def count(self, number: int, since: dt.datetime | None, example: str = "") -> None:
        self.number += number
        if since is not None and (self.since is None or since < self.since):
            self.since = since
        self.other = self.other or example

    def add(self, order: str, amount: Decimal | None) -> None:
        """An order that is counted already, and staged."""
        self.amount += amount or 0
        if len(self.examples) < _EXAMPLES or order < self.examples[-1]:
            self.examples = sorted([*self.examples, order])[:_EXAMPLES]

    def as_json(self) -> dict[str, Any]:
        examples = self.examples or [self.other] * bool(self.other)
        return {"orders": self.number, "amount": self.amount, "examples": examples}


@dataclass
class Group:
    """Orders that have something in common; one that comes again is the same."""

    keys: set[tuple[str, str]] = field(default_factory=set)
    examples: list[str] = field(default_factory=list)
    amount: Decimal = Decimal(0)

    def add(self, table: str, order: str, known: Orders) -> None:
        if (table, match_key(order)) in self.keys:
            return
        self.keys.add((table, match_key(order)))
        self.amount += known.get(table, order).amount or 0
        if len(self.examples) < _EXAMPLES:
            self.examples.append(order)

    def as_json(self) -> dict[str, Any]:
        return {"orders": len(self.keys), "amount": self.amount, "examples": self.examples}


class Orders:
    """The staged orders, by CRM table and key."""

    def __init__(self, run: Run) -> None:
        self._orders: dict[tuple[str, str], Order] = {}
        for model in run.contract.models:
            self._orders.update(_read_orders(run, model))

    def get(self, table: str, key: str) -> Order:
        return self._orders.get((table, match_key(key)), Order())

    def amount(self, keys: Iterable[tuple[str, str]]) -> Decimal:
        return sum((self._orders[key].amount or Decimal(0) for key in keys if key in self._orders), Decimal(0))

    def by_table(self) -> dict[str, set[str]]:
        """Table → the keys of its orders, as they are compared."""
        found: dict[str, set[str]] = {}
        for table, key in self._orders:
            found.setdefault(table, set()).add(key)
        return found

    @property
    def keys(self) -> set[tuple[str, str]]:
        return set(self._orders)


def report(run: Run, number: int, clock: Callable[[], dt.datetime] | None = None) -> dict[str, Any]:
    """Everything on the page. `number` is how many runs the trend has."""
    runs = run.journal.runs(number)
    last = _last(runs)
    content: dict[str, Any] = {
        "generated_at": (clock or run.journal.now)(),
        "target": run.target.name,
        "runs": [run_json(each) for each in runs],
        "last": None,
        "later": [run_json(each) for each in runs[: runs.index(last)]] if last else [],
        "staged": None,
        "waiting": None,
        "outcomes": [],
        "reasons": [],
        "queue": [],
        "missing": [],
        "unmapped": [],
        "warnings": [],
    }
    if not runs:
        return content
    orders = Orders(run)
    content["staged"] = {"orders": len(orders.keys), "amount": orders.amount(orders.keys)}
    content.update(_queue(run, orders))
    content["unmapped"] = [row for model in run.contract.models for row in _unmapped(run, model)]
    if last:
        content["last"] = run_json(last)
        content.update(_ended(run, last, orders))
    return content


def run_json(record: RunRecord) -> dict[str, Any]:
    """A run; `seconds` is how long it took."""
    seconds = (record.finished_at - record.started_at).total_seconds() if record.finished_at else None
    counts = asdict(record.counts)
    return {**{name: value for name, value in vars(record).items() if name != "counts"}, **counts, "seconds": seconds}


def _last(runs: Sequence[RunRecord]) -> RunRecord | None:
    """The run that the page is about: the latest finished push over all orders, else the latest finished push."""
    finished = [each for each in runs if each.finished_at and each.command != "undo"]
    return next((each for each in finished if each.is_whole), finished[0] if finished else None)


# --------------------------------------------------------------------------------------------------- staged orders


def _read_orders(run: Run, model: Model) -> Iterator[tuple[tuple[str, str], Order]]:
    names = [column.name for column in model.columns]
    wanted = [quoted(name) if name in names else "null" for name in (_AMOUNT, _CUSTOMER, _CUSTOMER_NAME)]
    sql = f"select {', '.join([quoted(model.key_column), *wanted])} from {model.relation}"
    for key, amount, customer, customer_name in run.warehouse.query(sql):
        known = Order(_decimal(amount), _text(customer), _text(customer_name))
        yield (model.table, match_key(str(key))), known


def _unmapped(run: Run, model: Model) -> Iterator[dict[str, Any]]:
    """Codes of GP without a translation, now: the views say so without a run."""
    has_amount = any(column.name == _AMOUNT for column in model.columns)
    amount = f"sum({quoted(_AMOUNT)})" if has_amount else "null"
    for column in model.sent:
        xref = column.meta.xref
        if xref is None:
            continue
        code = quoted(xref.code)
        rows = run.warehouse.query(
            f"select {code}, count(*), {amount} from {model.relation}"
            f" where {quoted(column.name)} is null and {code} is not null group by {code}"
        )
        for gp_code, number, total in sorted(rows, key=lambda row: str(row[0])):
            yield {
                "reason": f"{xref.called}_unmapped",
                "column": column.name,
                "code": _text(gp_code),
                "orders": number,
                "amount": _decimal(total),
                "blocks": xref.unmapped == "block",
            }


# --------------------------------------------------------------------------------------------------------- journal


def _queue(run: Run, orders: Orders) -> dict[str, Any]:
    """The retry queue: each order, by reason, and by what CRM lacks."""
    counts = run.journal.queue_counts()
    waiting = Tally()
    reasons: dict[str, Tally] = {}
    for _, reason, number, since in run.journal.reasons_in_queue(MOST):
        reasons.setdefault(reason, Tally()).count(number, since)
        waiting.count(number, since)
    missing: dict[str, tuple[dict[str, Any], Tally]] = {}
    for items, number, since, example in run.journal.missing_in_queue(MOST_MISSING):
        for name, item in _different(items).items():
            missing.setdefault(name, (item, Tally()))[1].count(number, since, example)
    for table, keys in orders.by_table().items():
        for entry in run.journal.open_among(table, keys):
            order, amount = entry.key, orders.get(table, entry.key).amount
            waiting.add(order, amount)
            reasons.setdefault(entry.reason or "", Tally()).add(order, amount)
            for name in _different(entry.missing):
                if name in missing:
                    missing[name][1].add(order, amount)
    listed = run.journal.queue(limit=MOST)
    crm_ids = {
        model.table: run.journal.crm_ids(model.table, [entry.key for entry in listed if entry.table == model.table])
        for model in run.contract.models
    }
    rows = []
    for entry in listed:
        known = orders.get(entry.table, entry.key)
        crm_id = crm_ids.get(entry.table, {}).get(match_key(entry.key))
        about = {name: value for name, value in vars(entry).items() if name not in ("key", "missing", "resolution")}
        rows.append({"order": entry.key, **asdict(known), "crm_id": crm_id, **about})
    return {
        "waiting": {
            "orders": waiting.number,
            "amount": waiting.amount,
            "since": waiting.since,
            "held": counts["held"],
            "ignored": counts["ignored"],
            "listed": len(rows),
            "entries": sum(counts.values()),
        },
        "reasons": _heaviest(
            {"reason": reason, **group.as_json(), "since": group.since, "remedy": remedy(reason)}
            for reason, group in reasons.items()
        ),
        "queue": rows,
        "missing": _heaviest(
            {
                "reason": item.get("code") or "",
                "table": item.get("table"),
                "match": item.get("match") or {},
                **group.as_json(),
                "since": group.since,
            }
            for item, group in missing.values()
        ),
    }


def _different(items: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """An order names a product once for each line; here each is there once, by its text."""
    return {json.dumps(item, sort_keys=True, default=str): item for item in items}


def _ended(run: Run, last: RunRecord, orders: Orders) -> dict[str, Any]:
    """How the orders of the last run ended, with their money, and what was sent though not as staged."""
    rows = run.warehouse.query(
        "select crm_table, record_key, outcome, case when warnings = '[]' then null else warnings end"
        f" from {run.contract.journal['sync_event'].relation} where run_id = ? order by event_no",
        [last.run_id],
    )
    groups = {outcome: Group() for outcome in OUTCOMES}
    warnings: dict[tuple[str, str], Group] = {}
    for table, key, outcome, warned in rows:
        if outcome in groups:
            groups[str(outcome)].add(str(table), str(key), orders)
        for warning in json.loads(str(warned)) if warned else ():
            code, message = str(warning["code"]), _without_line(str(warning["message"]))
            if not code.endswith("_unmapped"):
                warnings.setdefault((code, message), Group()).add(str(table), str(key), orders)
    return {
        "outcomes": list(_outcomes(last.counts, groups, orders)),
        "warnings": _heaviest(
            {"reason": code, "message": message, **group.as_json()} for (code, message), group in warnings.items()
        ),
    }


def _outcomes(counts: RunCounts, groups: Mapping[str, Group], orders: Orders) -> Iterator[dict[str, Any]]:
    """Unchanged orders have no event: they are the others, unless orders came or went since."""
    told = {key for outcome, group in groups.items() if outcome != "unchanged" for key in group.keys}
    others = orders.keys - told
    for outcome in OUTCOMES:
        number = getattr(counts, outcome)
        amount: Decimal | None = groups[outcome].amount
        if outcome == "unchanged":
            amount = orders.amount(others) if len(others) == number else None
        yield {"outcome": outcome, "orders": number, "amount": amount}


def _heaviest(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Most money first."""
    return sorted(rows, key=lambda row: (-row["amount"], -row["orders"], str(row["reason"])))[:MOST]


def _without_line(message: str) -> str:
    return message.partition(": ")[2] if message.startswith("line ") else message


def _text(value: object) -> str | None:
    return None if value is None else str(value).rstrip(" ")


def _decimal(value: object) -> Decimal | None:
    return None if value is None else Decimal(str(value))
