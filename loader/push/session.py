"""What is known before the first record is looked at, and plans of records against CRM as it is. Reads only."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice

from loader.context import Context, StagedRecords
from loader.contract import Model
from loader.dataverse.client import Client
from loader.keys import KEY_SEPARATOR, match_key, near_key
from loader.push.gather import (
    Records,
    read_adoptable,
    read_by_parts,
    read_looked_up,
    read_lookups,
    read_records,
    renew_lookups,
)
from loader.sync.binding import Bindings
from loader.sync.landed import Landings, made_lines, sibling_columns, sibling_keys
from loader.sync.lookups import Found, Index, LookupKey, lookup_keys, owner_of
from loader.sync.naming import Naming
from loader.sync.plan import Known, RecordPlan, block, plan_record, record_id
from loader.sync.records import Row, Staged, Wanted, currency_of, current, desired_records
from loader.sync.waves import Waves, waves

CHUNK = 500
"""Records planned together: one read request."""


@dataclass(frozen=True)
class Session:
    """What a run knows before it looks at the first record."""

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
    landings: Landings = field(default_factory=Landings)
    """What the run did, or will do, to the records that others look up."""
    waves: Waves = field(default_factory=Waves)
    """Which records have to wait for others of the model, by match key."""
    named: Mapping[LookupKey, Mapping[str, Collection[str]]] = field(default_factory=dict)
    """Look-up of the model's own table → match key → the values by which the record names others."""
    contested: frozenset[str] = frozenset()
    """Match keys of records that CRM does not have, and that would adopt the same one."""
    is_expecting: bool = False
    """Nothing is written: what the run would make counts as if it were there."""

    @cached_property
    def naming(self) -> Naming:
        """What people know the records' values by."""
        return Naming(self.bindings.base, self.index)

    @cached_property
    def _siblings(self) -> list[LookupKey]:
        return sibling_keys(self.bindings.model)

    def plan(self, records: Sequence[Staged], attempts: Mapping[str, int] | None = None) -> list[RecordPlan]:
        """Plans records against CRM as it is now."""
        self._renew_siblings(records)
        return self.plan_against(self.read(records), records, attempts or {})

    def read(self, records: Sequence[Staged]) -> Records:
        """What CRM has of these records, by match key, without those that are held or ignored."""
        return self.read_each([record for record in records if match_key(record.key) not in self.withheld])

    def read_each(self, asked: Sequence[Staged]) -> Records:
        """What CRM has of these records, by match key."""
        if not asked:
            return Records({})
        if not self.bindings.base.has_plain_key:
            return read_by_parts(self.client, self.bindings.base, {each.key: self._parts(each) for each in asked})
        found = read_records(self.client, self.bindings.base, [record.key for record in asked])
        if self.bindings.model.meta.adopt_by:
            lacking = [record for record in asked if found.rows.get(match_key(record.key)) == []]
            found.adoptable.update(read_adoptable(self.client, self.bindings.base, lacking))
        return found

    def plan_against(self, found: Records, records: Sequence[Staged], attempts: Mapping[str, int]) -> list[RecordPlan]:
        """Plans records against what was read."""
        planned: dict[int, RecordPlan] = {}
        numbers = []
        for number, record in enumerate(records):
            apart = self._set_apart(record, found)
            if apart:
                planned[number] = apart
            else:
                numbers.append(number)
        binding = self.bindings.base
        for number in numbers if self._siblings else ():
            self._expect_siblings(records[number], found)
        wanted = desired_records([records[number] for number in numbers], binding, self.index)
        pairs = [
            (want, found.rows[match_key(records[number].key)]) for number, want in zip(numbers, wanted, strict=True)
        ]
        if found.adoptable:
            adopted = [
                self._adopted(records[number], want, rows, found)
                for number, (want, rows) in zip(numbers, pairs, strict=True)
            ]
        else:
            adopted = [[] for _ in pairs]
        strangers = self._strangers(pairs)
        for number, (want, rows), candidates in zip(numbers, pairs, adopted, strict=True):
            key = match_key(records[number].key)
            if len(candidates) > 1 or (candidates and key in self.contested):
                planned[number] = _contested(records[number], len(candidates), self.bindings.model)
                continue
            rows = rows or candidates
            id_ = rows[0][binding.table.id_column].lower() if rows else ""
            taken_for = "" if rows else self._taken_for(records[number].key, found)
            known = Known(
                self.shared.get(id_),
                self.not_shared.get(id_),
                strangers.get(id_, ""),
                taken_for,
                is_adopted=bool(candidates),
                in_loop=self.waves.loops.get(key, ()),
            )
            attempt, words = attempts.get(records[number].key, 0), self.naming.words
            plan = plan_record(records[number], want, rows, binding, known, attempt, words)
            planned[number] = replace(plan, made=self.index.made) if self.index.made else plan
            self._note(records[number], want, rows, planned[number])
        for number, plan in planned.items():
            if plan.action in ("block", "skip"):
                self._note_absence(records[number], plan)
        overwritten = (each for plan in planned.values() if plan.writes for each in plan.overwritten())
        if unknown := self.naming.unknown(overwritten):
            read_looked_up(self.client, self.bindings.tables, self.naming.others, unknown)
        return [planned[number] for number in range(len(records))]

    def _parts(self, record: Staged) -> list[object]:
        """The values of the columns that make a record's key; of a look-up the id of the row that it finds."""
        parts: list[object] = []
        for field_ in self.bindings.base.keys:
            if field_.lookup is None:
                parts.append(record.row[field_.name])
            else:
                found = self.index.find(field_.lookup, [record.row[each] for each in field_.lookup.match.values()])
                parts.append(found.id if isinstance(found, Found) else None)
        return parts

    def waves_of(self, staged: StagedRecords) -> Iterator[Iterator[Staged]]:
        """The staged records, those that others of them name before these."""
        for wave in range(self.waves.count):
            if wave:
                self._know_wave(wave)
            if self.waves.count == 1:
                yield staged.records()
            else:
                yield (each for each in staged.records() if self.waves.of(match_key(each.key)) == wave)

    def _know_wave(self, wave: int) -> None:
        """Has the look-ups of a wave find what the waves before it left in CRM, or would leave there."""
        if not self.is_expecting:
            wanted = {
                key: {value for record, values in named.items() if self.waves.of(record) == wave for value in values}
                for key, named in self.named.items()
            }
            renew_lookups(self.client, self.bindings.tables, self.index, wanted)
        self.landings.enter(self.index, self.named, expected=self.is_expecting)

    def _adopted(self, record: Staged, want: Wanted, rows: Sequence[Row], found: Records) -> list[Row]:
        """CRM's records without a key that have the same values as the record in all columns of `adopt_by`."""
        columns = self.bindings.model.meta.adopt_by
        candidates = found.adoptable.get(match_key(record.row[columns[0]] or ""), [])
        if rows or want.obstacles or not candidates:
            return []
        values = want.record.values
        return [
            row
            for row in candidates
            for have in [current(row, self.bindings.base).values]
            if all(match_key(have[name] or "") == match_key(values.get(name) or "") for name in columns)
        ]

    def _expect_siblings(self, record: Staged, found: Records) -> None:
        """Has the lines of a new record find the one that CRM will make together with it."""
        if found.rows[match_key(record.key)]:
            return
        for row in made_lines(record, self.bindings.base, record_id(self.bindings.model.table, record.key)):
            for key in self._siblings:
                self.index.land(key, row, expected=True)

    def _renew_siblings(self, records: Sequence[Staged]) -> None:
        """Has the lines of records that were created by now find the ones that CRM made with them."""
        wanted = {
            key: {str(line[column]) for record in records for line in record.lines if line[column] is not None}
            for key, column in sibling_columns(self.bindings.model)
        }
        if wanted:
            renew_lookups(self.client, self.bindings.tables, self.index, wanted)

    def _note(self, record: Staged, want: Wanted, rows: Sequence[Row], plan: RecordPlan) -> None:
        """Remembers what others look up of a record that is written."""
        model, binding = self.bindings.model, self.bindings.base
        if plan.crm_id is None or not plan.writes or not self.landings.concerns(model):
            return
        have = current(rows[0], self.bindings.in_currency(currency_of(rows[0]))) if rows else None
        owner = None
        if "ownerid" in binding.table.attributes:
            owned = next((each for each in binding.fields if each.name == "ownerid" and each.lookup), None)
            its = want.record.values.get("ownerid")
            if owned and owned.lookup and its and (have is None or owned.on_update):
                owner = (owned.lookup.table, str(its))
            elif have is None:
                owner = ("systemuser", self.bindings.organization.caller_id)
            else:
                owner = owner_of(rows[0])
        self.landings.lands(record, want.record, binding, plan.crm_id, have, owner)

    def _note_absence(self, record: Staged, plan: RecordPlan) -> None:
        model = self.bindings.model
        if self.landings.concerns(model):
            self.landings.stays_out(record, model, why_absent(plan.reason, plan.message))

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

    def _set_apart(self, record: Staged, found: Records) -> RecordPlan | None:
        """The plan of a record that is not even compared."""
        table, key = self.bindings.model.table, match_key(record.key)
        if key in self.withheld:
            return set_aside(record.key, table, self.withheld[key])
        if key in self.repeated:
            message = f"{self.bindings.model.name} has more than one row of this key"
            return block(record.key, self.bindings.model, "ambiguous", message)
        if key in found.unread:
            reason, message = found.unread[key]
            return RecordPlan(record.key, table, "block", reason=reason, message=message)
        return None


def _contested(record: Staged, count: int, model: Model) -> RecordPlan:
    """The plan of a record of which nobody can say which one of CRM's it is."""
    same = ", ".join(f"{name} {str(record.row[name]).rstrip()!r}" for name in model.meta.adopt_by if record.row[name])
    if count > 1:
        message = f"CRM has {count} {model.nouns} without {model.key_column} that have the same {same}"
    else:
        message = (
            f"CRM has {model.a_record} without {model.key_column} of the same {same}, and several are staged with it"
        )
    return block(record.key, model, "ambiguous", message)


def why_absent(reason: str, message: str) -> str:
    """Why a record is not there, for those that look it up."""
    if reason in ("held", "ignored"):
        return f"is {message}"
    return f"stays out as {reason} ({message})"


def set_aside(key: str, table: str, state: str) -> RecordPlan:
    """The plan of a record that someone holds back or ignores."""
    return RecordPlan(key, table, "skip", reason=state, message=f"{state} in the retry queue")


def planned_in_waves(
    session: Session, staged: StagedRecords, workers: int, stop: threading.Event | None = None
) -> Iterator[list[tuple[Staged, RecordPlan]]]:
    """Chunks of planned records, those that others name before these. Nothing is written in between."""
    for wave in session.waves_of(staged):
        yield from plans(session, wave, workers, stop)


def plans(
    session: Session, staged: Iterable[Staged], workers: int, stop: threading.Event | None = None
) -> Iterator[list[tuple[Staged, RecordPlan]]]:
    """Chunks of planned records, in order; CRM is read ahead by `workers` threads, and compared on the caller's."""

    def joined(chunk: list[Staged], found: Future[Records]) -> list[tuple[Staged, RecordPlan]]:
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


def open_session(
    context: Context, staged: StagedRecords, landings: Landings | None = None, *, is_expecting: bool = False
) -> Session:
    """Reads metadata, look-ups and the journal's memory: what planning needs. Raises ContractMismatch.

    `landings`: what the run did to the tables before this one; `is_expecting` where it did not, but would.
    """
    model = staged.model
    landings = landings or Landings()
    bindings = context.bindings(model)
    bindings.refuse_problems()
    if not staged.compared:
        return Session(context.client, bindings, Index(), landings=landings, is_expecting=is_expecting)
    counted = Counter(map(match_key, staged.keys))
    context.doing(f"Looking up in CRM what {model.nouns} name")
    shares = context.journal.shares(model.table)
    index = read_lookups(context.client, context.tables, staged.lookup_values())
    landings.enter(index, lookup_keys(model), expected=is_expecting)
    named, order = _names(staged)
    return Session(
        client=context.client,
        bindings=bindings,
        index=index,
        known=context.journal.crm_ids(model.table),
        shared={crm_id: shared for crm_id, (shared, _) in shares.items() if shared},
        not_shared={crm_id: refused for crm_id, (_, refused) in shares.items() if refused},
        withheld={match_key(key): state for key, state in context.journal.held_or_ignored(model.table).items()},
        repeated=frozenset(key for key, count in counted.items() if count > 1),
        staged=counted.keys(),
        landings=landings,
        waves=order,
        named=named,
        contested=_contested_keys(context, bindings, staged),
        is_expecting=is_expecting,
    )


def _names(staged: StagedRecords) -> tuple[dict[LookupKey, dict[str, set[str]]], Waves]:
    """What the records' look-ups of their own table name, and in which order the records go for that."""
    model = staged.model
    own = [column.meta.lookup for column in model.own_lookups if column.meta.lookup]
    lookups = [each for each in own if all("." not in path for path in each.match)]
    columns = {column.name for column in model.columns}
    due = set(map(match_key, staged.compared)) if own else set()
    named: dict[LookupKey, dict[str, set[str]]] = {LookupKey.of(each): {} for each in own}
    parents: dict[str, set[str]] = {}
    names: dict[str, str] = {}
    for lookup in lookups:
        if not columns.issuperset(lookup.match):
            continue
        paths, its = list(lookup.match), list(lookup.match.values())
        key = LookupKey.of(lookup)
        place = paths.index(key.own_column)
        rows = staged.rows.distinct(model, [*model.meta.match_on, *paths, *its], model.key_column, due=False)
        size = len(model.meta.match_on)
        records: dict[tuple[str, ...], str] = {}
        told = []
        for row in rows:
            name = KEY_SEPARATOR.join(str(value).rstrip(" ") for value in row[:size])
            record = match_key(name)
            names[record] = name
            records[tuple(match_key(value or "") for value in row[size : size + len(paths)])] = record
            if row[size + len(paths) + place] is not None and record in due:
                told.append((record, row[size + len(paths) :]))
        for record, values in told:
            named[key].setdefault(record, set()).add(str(values[place]))
            other = records.get(tuple(match_key(value or "") for value in values))
            if other is not None:
                parents.setdefault(record, set()).add(other)
                parents.setdefault(other, set())
    found = waves(parents)
    loops = {record: tuple(names[each] for each in circle) for record, circle in found.loops.items()}
    return named, replace(found, loops=loops)


def _contested_keys(context: Context, bindings: Bindings, staged: StagedRecords) -> frozenset[str]:
    """Records that CRM does not have, and that are alike in what another one of CRM's would be adopted by."""
    model = bindings.model
    if not model.meta.adopt_by:
        return frozenset()
    alike: dict[tuple[str, ...], set[str]] = {}
    columns = [model.key_column, *model.meta.adopt_by]
    for key, *values in staged.rows.distinct(model, columns, model.key_column, due=False):
        alike.setdefault(tuple(match_key(value or "") for value in values), set()).add(str(key))
    due = set(staged.compared)
    several = [keys for keys in alike.values() if len(keys) > 1 and keys & due]
    asked = sorted(key for keys in several for key in keys)
    if not asked:
        return frozenset()
    found = read_records(context.client, bindings.base, asked)
    lacking = [{match_key(key) for key in keys if found.rows.get(match_key(key)) == []} for keys in several]
    return frozenset(key for keys in lacking if len(keys) > 1 for key in keys)
