"""The figures of the report: the last run, the trend, and what waits for what, selected from the audit models."""

from __future__ import annotations

import datetime as dt
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

from loader.context import Context
from loader.contract import Contract
from loader.errors import UsageError
from loader.keys import fold, folded
from loader.push.audits import latest_runs
from loader.push.tally import OUTCOMES
from loader.reasons import remedy
from loader.warehouse.connection import Row, Warehouse, limited
from loader.warehouse.journal import RunRecord

MOST = 500
"""Rows of a table on the page: a browser sorts and filters so many at once. The totals count all."""

_EXAMPLES = 3


def report(context: Context, number: int, clock: Callable[[], dt.datetime] | None = None) -> dict[str, Any]:
    """Everything on the page. `number` is how many runs the trend has."""
    runs = latest_runs(context, number)
    last = _last(runs)
    later = runs[: runs.index(last)] if last else []
    content: dict[str, Any] = {
        "generated_at": (clock or context.journal.now)(),
        "target": context.target.name,
        "noun": context.contract.noun,
        "nouns": context.contract.nouns,
        "runs": [run_json(each) for each in runs],
        "last": None,
        "later": [run_json(each) for each in later],
        "amounts": sorted({model.meta.amount for model in context.contract.models if model.meta.amount}),
        "staged": None,
        "tables": [],
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
    with closing(Figures(context)) as figures:
        content["staged"] = figures.staged()
        content["tables"] = figures.tables()
        content["waiting"] = figures.waiting()
        content["reasons"] = figures.reasons()
        content["queue"] = figures.queue()
        content["missing"] = figures.missing()
        content["unmapped"] = figures.unmapped()
        if last:
            content["last"] = run_json(last)
            content["outcomes"] = list(figures.outcomes(last))
            content["warnings"] = figures.warnings()
        content["waiting"]["listed"] = len(content["queue"])
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


class Figures:
    """Selects from the audit models. What they say of each record is asked once and kept until this is closed."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._side: Warehouse = context.warehouse.side()
        try:
            key = folded("record_key", self._side.dialect)
            self._records = self._side.keep(
                "records",
                "select crm_table, record_key, title, amount, is_staged, crm_id, last_outcome, reason, since,"
                f" queue_state, {key} as match_key from {_relation(context.contract, 'audit_record_status')}",
            )
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._side.close()

    def staged(self) -> dict[str, Any]:
        ((number, amount),) = self._query(f"select count(*), sum(amount) from {self._records} where is_staged = 1")
        return {"records": number, "amount": _money(amount)}

    def tables(self) -> list[dict[str, Any]]:
        """How much of each table is staged, and how much of it waits."""
        rows = self._query(
            "select crm_table, sum(is_staged), sum(case when is_staged = 1 then amount end),"
            " sum(case when queue_state = 'open' then 1 else 0 end),"
            " sum(case when queue_state = 'open' then amount end)"
            f" from {self._records} group by crm_table"
        )
        found = {table: figures for table, *figures in rows}
        return [
            {
                "table": model.table,
                "noun": model.noun,
                "nouns": model.nouns,
                "staged": found[model.table][0] or 0,
                "amount": _money(found[model.table][1]) if model.meta.amount else None,
                "waiting": found[model.table][2],
                "waiting_amount": _money(found[model.table][3]) if model.meta.amount else None,
            }
            for model in {model.table: model for model in reversed(self._context.contract.models)}.values()
            if model.table in found
        ][::-1]

    def waiting(self) -> dict[str, Any]:
        """How much is in the queue, and how much of it is open."""
        rows = self._query(
            "select queue_state, count(*), sum(amount), min(since)"
            f" from {self._records} where queue_state in ('open', 'held', 'ignored') group by queue_state"
        )
        states = {state: (number, amount, since) for state, number, amount, since in rows}
        number, amount, since = states.get("open", (0, None, None))
        counts = {state: states[state][0] if state in states else 0 for state in ("held", "ignored")}
        return {
            "records": number,
            "amount": _money(amount),
            "since": since,
            **counts,
            "entries": sum(int(str(each[0])) for each in states.values()),
        }

    def reasons(self) -> list[dict[str, Any]]:
        """Why open entries of each table wait, the most money first."""
        waiting = f"from {self._records} where queue_state = 'open'"
        rows = self._query(
            f"select crm_table, reason, count(*), sum(amount), min(since) {waiting} group by crm_table, reason"
        )
        # Staged records are the better examples; without any, one that is staged no more will do.
        place = "row_number() over (partition by crm_table, reason order by is_staged desc, match_key) as place"
        examples: dict[tuple[object, object], list[str]] = {}
        for table, reason, key in self._query(
            "select crm_table, reason, record_key from"
            f" (select reason, crm_table, record_key, is_staged, {place} {waiting}) as placed"
            f" where place = 1 or (place <= {_EXAMPLES} and is_staged = 1) order by place"
        ):
            examples.setdefault((table, reason), []).append(str(key))
        return _heaviest(
            {
                "table": table,
                "reason": reason or "",
                "records": number,
                "amount": _money(amount),
                "examples": examples[table, reason],
                "since": since,
                "remedy": remedy(str(reason or "")),
                "command": self._explains(str(table), examples[table, reason][0]),
            }
            for table, reason, number, amount, since in rows
        )

    def _explains(self, table: str, key: str) -> str:
        """The command that explains a record, as a shell takes it."""
        of_table = "" if self._context.contract.is_of_one_table else f" --table {table}"
        return f"loader explain {shlex.quote(key)}{of_table}"

    def queue(self) -> list[dict[str, Any]]:
        """The entries that have waited longest, with what their records are called and worth."""
        entries = self._context.journal.queue(limit=MOST)
        known: dict[tuple[object, object], Row] = {}
        keys = sorted({fold(entry.key) for entry in entries})
        for condition, params in self._side.matching("match_key", keys):
            sql = f"select crm_table, match_key, title, amount, crm_id from {self._records} where {condition}"
            known.update(((row[0], row[1]), row) for row in self._query(sql, params))
        rows = []
        for entry in entries:
            _, _, title, amount, crm_id = known.get((entry.table, fold(entry.key)), (None,) * 5)
            about = {name: value for name, value in vars(entry).items() if name not in ("key", "missing", "resolution")}
            named = self._context.contract.named(entry.table, entry.key)
            rows.append({"key": entry.key, "named": named, "title": title, "amount": amount, "crm_id": crm_id, **about})
        return rows

    def missing(self) -> list[dict[str, Any]]:
        """What CRM lacks or has more than once, the most money first."""
        rows = self._query(
            limited(
                "select reason, crm_table, reference, records, amount, waiting_since, waiting_table, example_key"
                f" from {_relation(self._context.contract, 'audit_missing_references')}"
                " order by coalesce(amount, 0) desc, records desc, reason, reference",
                MOST,
                self._side.dialect,
            )
        )
        has_amount = {model.table for model in self._context.contract.models if model.meta.amount}
        return [
            {
                "reason": reason,
                "table": table,
                "waiting_table": waiting,
                "reference": reference,
                "records": number,
                "amount": _money(amount) if waiting in has_amount else None,
                "examples": [self._context.contract.named(str(waiting), str(example))],
                "since": since,
            }
            for reason, table, reference, number, amount, since, waiting, example in rows
        ]

    def unmapped(self) -> list[dict[str, Any]]:
        """Codes of GP without a translation, now: the views say so without a run."""
        rows = self._query(
            "select reason, crm_table, crm_column, gp_code, records, amount, effect"
            f" from {_relation(self._context.contract, 'audit_unmapped_codes')} order by crm_table, crm_column, gp_code"
        )
        return [
            {
                "reason": reason,
                "table": table,
                "column": column,
                "code": code,
                "records": number,
                "amount": amount,
                "blocks": effect != "column_left",
            }
            for reason, table, column, code, number, amount, effect in rows
        ]

    def outcomes(self, last: RunRecord) -> Iterator[dict[str, Any]]:
        """How the records of a run ended, with their money.

        Those that it did not compare, and unchanged ones, have no event. Of these, the ones that were skipped when they
        were compared are skipped; the others are unchanged, unless records came or went since.
        """
        events = self._context.contract.journal["sync_event"].relation
        key = folded("event.record_key", self._side.dialect)
        same = f"event.crm_table = records.crm_table and {key} = records.match_key"
        told = f"exists (select 1 from {events} as event where event.run_id = ? and {{}}{same})"
        skipped = f"records.is_staged = 1 and records.last_outcome = 'skipped' and not {told.format('')}"
        rows = self._query(
            f"select outcome, sum(amount) from (select event.outcome, records.crm_table, records.match_key,"
            f" records.amount from {self._records} as records inner join {events} as event on {same}"
            f" where event.run_id = ? union select 'skipped', records.crm_table, records.match_key, records.amount"
            f" from {self._records} as records where {skipped}) as ended group by outcome",
            [last.run_id, last.run_id],
        )
        amounts: dict[object, Decimal | None] = {outcome: _money(amount) for outcome, amount in rows}
        changed = told.format("event.outcome <> 'unchanged' and ")
        ((others, amount),) = self._query(
            f"select count(*), sum(amount) from {self._records} as records where is_staged = 1"
            f" and not {changed} and not ({skipped})",
            [last.run_id, last.run_id],
        )
        amounts["unchanged"] = _money(amount) if others == last.counts.unchanged else None
        for outcome in OUTCOMES:
            yield {
                "outcome": outcome,
                "records": getattr(last.counts, outcome),
                "amount": amounts.get(outcome, Decimal(0)),
            }

    def warnings(self) -> list[dict[str, Any]]:
        """What was sent, though not as staged, the most money first; unmapped codes have their own table."""
        groups: dict[tuple[str, str, str], Warned] = {}
        key = folded("warned.record_key", self._side.dialect)
        for table, record, code, message, amount in self._query(
            "select warned.crm_table, warned.record_key, warned.warning, warned.message, records.amount"
            f" from {_relation(self._context.contract, 'audit_record_warnings')} as warned"
            f" inner join {self._records} as records"
            f" on warned.crm_table = records.crm_table and {key} = records.match_key"
            " where records.is_staged = 1 order by warned.crm_table, records.match_key"
        ):
            if not str(code).endswith("_unmapped"):
                group = groups.setdefault((str(table), str(code), _without_line(str(message))), Warned())
                named = self._context.contract.named(str(table), str(record))
                group.add((str(table), str(record)), named, amount)
        return _heaviest(
            {"table": table, "reason": code, "message": message, **group.as_json()}
            for (table, code, message), group in groups.items()
        )

    def _query(self, sql: str, params: Sequence[object] = ()) -> list[Row]:
        return self._side.query(sql, params)


@dataclass
class Warned:
    """Records with the same warning, one after the other: one that comes again is the same."""

    number: int = 0
    amount: Decimal = Decimal(0)
    examples: list[str] = field(default_factory=list)
    _last: tuple[str, str] | None = None

    def add(self, record: tuple[str, str], named: str, amount: object) -> None:
        if record == self._last:
            return
        self._last = record
        self.number += 1
        self.amount += _money(amount)
        if len(self.examples) < _EXAMPLES:
            self.examples.append(named)

    def as_json(self) -> dict[str, Any]:
        return {"records": self.number, "amount": self.amount, "examples": self.examples}


def _relation(contract: Contract, audit: str) -> str:
    if audit not in contract.relations:
        raise UsageError(f"The project has no model {audit}.", "Add it again: the report's figures come from it.")
    return contract.relations[audit]


def _heaviest(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Most money first."""
    return sorted(rows, key=lambda row: (-row["amount"], -row["records"], str(row["reason"])))[:MOST]


def _without_line(message: str) -> str:
    return message.partition(": ")[2] if message.startswith("line ") else message


def _money(value: object) -> Decimal:
    return Decimal(0) if value is None else Decimal(str(value))
