"""What is known before the first order is looked at, and plans of orders against CRM as it is. Reads only."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

from loader.dataverse.client import Client
from loader.keys import match_key, near_key
from loader.push.gather import Records, read_looked_up, read_lookups, read_orders
from loader.run import Run, StagedOrders
from loader.sync.binding import Bindings
from loader.sync.lookups import Index
from loader.sync.plan import Known, OrderPlan, plan_order
from loader.sync.records import Row, Staged, Wanted, desired_orders

CHUNK = 500
"""Orders planned together: one read request."""


@dataclass(frozen=True)
class Session:
    """What a run knows before it looks at the first order."""

    client: Client
    bindings: Bindings
    index: Index
    known: frozenset[str] = frozenset()
    """CRM ids of the records that the journal knows."""
    shared: Mapping[str, str] = field(default_factory=dict)
    """CRM id → "table:id" of the owner the record was shared with, from the journal. A new record is not shared yet."""
    not_shared: Mapping[str, str] = field(default_factory=dict)
    """CRM id → the owner with whom CRM refused to share the record."""
    withheld: Mapping[str, str] = field(default_factory=dict)
    """Match key → "held" or "ignored"."""
    repeated: frozenset[str] = frozenset()
    """Match keys that are staged more than once."""
    staged: Collection[str] = ()
    """Match keys of all that is staged."""

    def plan(self, orders: Sequence[Staged], attempts: Mapping[str, int] | None = None) -> list[OrderPlan]:
        """Plans orders against CRM as it is now."""
        return self.plan_against(self.read(orders), orders, attempts or {})

    def read(self, orders: Sequence[Staged]) -> Records:
        """What CRM has of these orders, by match key."""
        asked = [order.key for order in orders if match_key(order.key) not in self.withheld]
        return read_orders(self.client, self.bindings.base, asked) if asked else Records({})

    def plan_against(self, found: Records, orders: Sequence[Staged], attempts: Mapping[str, int]) -> list[OrderPlan]:
        """Plans orders against what was read."""
        planned: dict[int, OrderPlan] = {}
        numbers = []
        for number, order in enumerate(orders):
            apart = self._set_apart(order, found)
            if apart:
                planned[number] = apart
            else:
                numbers.append(number)
        binding = self.bindings.base
        wanted = desired_orders([orders[number] for number in numbers], binding, self.index)
        pairs = [
            (want, found.rows[match_key(orders[number].key)]) for number, want in zip(numbers, wanted, strict=True)
        ]
        strangers = self._strangers(pairs)
        for number, (want, rows) in zip(numbers, pairs, strict=True):
            id_ = rows[0][binding.table.id_column].lower() if rows else ""
            taken_for = "" if rows else self._taken_for(orders[number].key, found)
            known = Known(self.shared.get(id_), self.not_shared.get(id_), strangers.get(id_, ""), taken_for)
            planned[number] = plan_order(
                orders[number], want, rows, binding, known, attempts.get(orders[number].key, 0)
            )
        return [planned[number] for number in range(len(orders))]

    def _taken_for(self, key: str, found: Records) -> str:
        """The key of a record that CRM takes for this one's, and of which nothing says that it is another one's."""
        near = found.near.get(near_key(key), {}) if found.near else {}
        return next(
            (name for id_, name in near.items() if id_ not in self.known and match_key(name) not in self.staged), ""
        )

    def _strangers(self, pairs: Iterable[tuple[Wanted, Sequence[Row]]]) -> Mapping[str, str]:
        """Records that the journal does not know and that are somebody else's in CRM: CRM id → whose."""
        binding = self.bindings.base
        field_ = binding.belongs_to
        if field_ is None or field_.lookup is None or field_.lookup_key is None:
            return {}
        holders: dict[str, str] = {}
        for want, rows in pairs:
            if len(rows) != 1 or want.obstacles or rows[0][binding.table.id_column].lower() in self.known:
                continue
            holder, ours = rows[0].get(field_.wire_name), want.record.values.get(field_.name)
            if holder and ours and holder.lower() != ours:
                holders[rows[0][binding.table.id_column].lower()] = holder
        index = Index()
        if holders:
            ids = set(holders.values())
            read_looked_up(self.client, self.bindings.tables, index, {field_.lookup_key: ids})
        return {
            id_: ", ".join(index.values(field_.lookup, holder).values()) or holder for id_, holder in holders.items()
        }

    def _set_apart(self, order: Staged, found: Records) -> OrderPlan | None:
        """The plan of an order that is not even compared."""
        table, key = self.bindings.model.table, match_key(order.key)
        if key in self.withheld:
            return set_aside(order.key, table, self.withheld[key])
        if key in self.repeated:
            message = f"{self.bindings.model.name} has more than one row of this key"
            return OrderPlan(order.key, table, "block", reason="order_ambiguous", message=message)
        if key in found.unread:
            reason, message = found.unread[key]
            return OrderPlan(order.key, table, "block", reason=reason, message=message)
        return None


def set_aside(key: str, table: str, state: str) -> OrderPlan:
    """The plan of an order that someone holds back or ignores."""
    return OrderPlan(key, table, "skip", reason=state, message=f"{state} in the retry queue")


def plans(
    session: Session, staged: Iterable[Staged], workers: int, stop: threading.Event | None = None
) -> Iterator[list[tuple[Staged, OrderPlan]]]:
    """Chunks of planned orders, in order; CRM is read ahead by `workers` threads, and compared on the caller's."""

    def joined(chunk: list[Staged], found: Future[Records]) -> list[tuple[Staged, OrderPlan]]:
        return list(zip(chunk, session.plan_against(found.result(), chunk, {}), strict=True))

    source = iter(staged)
    ahead: deque[tuple[list[Staged], Future[Records]]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="read") as readers:
        try:
            while chunk := list(islice(source, CHUNK)):
                if stop and stop.is_set():
                    return
                ahead.append((chunk, readers.submit(session.read, chunk)))
                if len(ahead) > workers:
                    yield joined(*ahead.popleft())
            while ahead:
                yield joined(*ahead.popleft())
        finally:
            for _, future in ahead:
                future.cancel()


def open_session(run: Run, staged: StagedOrders) -> Session:
    """Reads metadata, look-ups and the journal's memory: what planning needs. Raises ContractMismatch."""
    model = staged.model
    bindings = run.bindings(model)
    bindings.refuse_problems()
    counted = Counter(map(match_key, staged.keys))
    xref = run.journal.xref(model.table).values()
    return Session(
        client=run.client,
        bindings=bindings,
        index=read_lookups(run.client, run.tables, staged.lookup_values()),
        known=frozenset(entry.crm_id.lower() for entry in xref),
        shared={entry.crm_id.lower(): entry.shared_with for entry in xref if entry.shared_with},
        not_shared={entry.crm_id.lower(): entry.not_shared_with for entry in xref if entry.not_shared_with},
        withheld={match_key(key): state for key, state in run.journal.held_or_ignored(model.table).items()},
        repeated=frozenset(key for key, count in counted.items() if count > 1),
        staged=counted.keys(),
    )
