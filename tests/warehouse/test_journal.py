"""Runs, events, the retry queue and CRM ids: the same on both warehouses."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loader.errors import NotFound, UsageError
from loader.warehouse.connection import Warehouse
from loader.warehouse.journal import (
    SCHEMA_VERSION,
    Equal,
    Journal,
    KnownRecord,
    QueueEntry,
    RecordResult,
    RunCounts,
    RunStart,
)
from tests.warehouse.warehouse_places import NOW, Place, StoppedClock

Begin = Callable[..., RunStart]
GUID = "5d1f2f3a-0000-4000-8000-000000000001"


def blocked(key: str = "ORDST2225", reason: str = "account_not_found") -> RecordResult:
    return RecordResult(
        key,
        "salesorder",
        None,
        "block",
        "blocked",
        reason,
        f"No account for {key}",
        missing=[{"table": "account", "match": {"accountnumber": "AARONFIT0001"}}],
    )


def created(key: str = "ORDST2225", **other: object) -> RecordResult:
    result = RecordResult(key, "salesorder", GUID, "create", "created", pushed=True)
    return replace(result, **other)  # type: ignore[arg-type]


def unchanged(key: str = "ORDST2225") -> RecordResult:
    return RecordResult(key, "salesorder", GUID, "unchanged", "unchanged")


def only(entries: list[QueueEntry]) -> QueueEntry:
    assert len(entries) == 1
    return entries[0]


# ------------------------------------------------------------------------------------------------------------- schema


def test_preparing_again_changes_nothing(journal: Journal, begin: Begin) -> None:
    journal.start(begin())
    journal.prepare()
    assert [run.run_id for run in journal.runs()] == ["run-1"]


def test_a_column_that_dbt_has_added_is_added_to_an_older_table(
    place: Place, warehouse: Warehouse, begin: Begin, clock: StoppedClock
) -> None:
    tables = place.tables
    older = {
        name: replace(table, columns=tuple(c for c in table.columns if c[0] != "request_id"))
        for name, table in tables.items()
    }
    Journal(warehouse, older, clock).prepare()
    journal = Journal(warehouse, tables, clock)
    journal.prepare()
    journal.record([created(request_id="abc")], "run-1")
    assert journal.events("run-1")[0].request_id == "abc"


def test_a_journal_of_a_newer_loader_is_refused(
    journal: Journal, warehouse: Warehouse, place: Place, begin: Begin
) -> None:
    journal.start(begin())
    warehouse.execute(f"update {place.tables['sync_run'].relation} set schema_version = ?", [SCHEMA_VERSION + 1])
    with pytest.raises(UsageError, match=f"version {SCHEMA_VERSION + 1}; this loader knows {SCHEMA_VERSION}"):
        journal.prepare()


def test_reading_a_journal_that_was_never_prepared_finds_nothing(place: Place, warehouse: Warehouse) -> None:
    journal = Journal(warehouse, place.tables)
    assert journal.queue() == []
    assert journal.runs() == []
    assert journal.events() == []
    assert dict(journal.known_records("salesorder")) == {}
    assert dict(journal.held_or_ignored("salesorder")) == {}


# --------------------------------------------------------------------------------------------------------------- runs


def test_a_run_is_running_until_it_is_finished(journal: Journal, begin: Begin, clock: StoppedClock) -> None:
    journal.acquire(begin())
    journal.start(begin())
    assert journal.run("run-1").outcome == "running"
    clock.forward(seconds=90)
    journal.finish("run-1", RunCounts(staged=3, created=1, blocked=2, requests_read=9), "blocked", "2 blocked")
    run = journal.run("run-1")
    assert (run.outcome, run.started_at, run.finished_at) == (
        "blocked",
        NOW,
        NOW + dt.timedelta(seconds=90),
    )
    assert run.counts == RunCounts(staged=3, created=1, blocked=2, requests_read=9)
    assert run.message == "2 blocked"


def test_a_run_is_found_by_the_beginning_of_its_id(journal: Journal, begin: Begin) -> None:
    journal.start(begin("aaaa-1"))
    journal.start(begin("aaaa-2"))
    journal.start(begin("b%_-3"))
    assert journal.run("AAAA-1").run_id == "aaaa-1"
    assert journal.run("b").run_id == "b%_-3"
    for unclear in ("aaaa", "c", "%", "", "a_aa"):
        with pytest.raises(NotFound):
            journal.run(unclear)


def test_runs_come_newest_first(journal: Journal, begin: Begin, clock: StoppedClock) -> None:
    for number in range(4):
        journal.start(begin(f"run-{number}"))
        clock.forward(minutes=1)
    assert [run.run_id for run in journal.runs(2)] == ["run-3", "run-2"]


# ------------------------------------------------------------------------------------------------------------- events


def test_an_event_keeps_exact_values_before_and_after(journal: Journal, clock: StoppedClock) -> None:
    change = {
        "table": "salesorderdetail",
        "key": "ORDST2225",
        "line": 16384,
        "action": "update",
        "column": "priceperunit",
        "before": Decimal("9.95000"),
        "after": Decimal("123456789012345678.10"),
    }
    result = created(
        action="update",
        outcome="updated",
        changes=[change, {**change, "before": None, "after": dt.datetime(2024, 11, 3, 4)}],
        warnings=[
            {
                "code": "price_level_not_found",
                "table": "salesorder",
                "key": "ORDST2225",
                "line": None,
                "column": "pricelevelid",
                "message": "Größe “XL”",
            }
        ],
        message="{braces} 'quotes' ? and \N{SNOWMAN}\n",
    )
    journal.record([result], "run-1")
    event = journal.events(key="ordst2225 ")[0]
    assert event.changes[0] == change
    assert event.changes[1]["after"] == "2024-11-03T04:00:00Z"
    assert event.warnings == list(result.warnings)
    assert event.message == result.message
    assert event.happened_at == clock.now


def test_events_of_a_run_are_numbered_across_records(journal: Journal) -> None:
    journal.record([created("A"), created("B")], "run-1")
    journal.record([created("C")], "run-1")
    journal.record([created("A")], "run-2")
    assert [(e.event_no, e.key) for e in journal.events("run-1")] == [(1, "A"), (2, "B"), (3, "C")]
    assert [e.event_no for e in journal.events("run-2")] == [1]


def test_the_latest_event_of_an_order_comes_first(journal: Journal, clock: StoppedClock) -> None:
    journal.record([blocked()], "run-1")
    clock.forward(hours=1)
    journal.record([created()], "run-2")
    assert [e.outcome for e in journal.events(key="ORDST2225")] == ["created", "blocked"]
    assert [e.outcome for e in journal.events(key="ORDST2225", limit=1)] == ["created"]


def test_the_latest_run_is_the_one_that_began_last_whatever_the_clock_says(
    journal: Journal, clock: StoppedClock, begin: Begin
) -> None:
    journal.start(begin("run-1"))
    journal.record([blocked()], "run-1")
    clock.forward(hours=-5)
    journal.start(begin("run-2"))
    journal.record([created()], "run-2")
    assert [e.run_id for e in journal.events(key="ORDST2225")] == ["run-2", "run-1"]
    assert [e.outcome for e in journal.events(key="ORDST2225", limit=1)] == ["created"]


def test_the_events_of_a_run_come_in_their_order_by_parts(journal: Journal) -> None:
    journal.record([created(f"ORD{number}") for number in range(2_500)], "run-1")
    journal.record([created("OTHER")], "run-2")
    assert list(journal.events_of_run("run-1")) == journal.events("run-1")
    assert len(journal.events("run-1")) == 2_500


def test_an_unchanged_order_is_an_event_only_with_news(journal: Journal) -> None:
    journal.record([blocked("WAS-BLOCKED")], "run-1")
    journal.record(
        [
            unchanged("SILENT"),
            replace(unchanged("WARNED"), warnings=[{"code": "sales_rep_not_found"}]),
            unchanged("WAS-BLOCKED"),
        ],
        "run-2",
    )
    assert [e.key for e in journal.events("run-2")] == ["WARNED", "WAS-BLOCKED"]


def test_a_text_longer_than_its_column_is_cut(journal: Journal) -> None:
    journal.record([blocked(reason="r" * 70)], "run-1")
    assert only(journal.queue()).reason == "r" * 57 + "..."


def test_half_a_character_does_not_lose_the_news(journal: Journal) -> None:
    journal.record([replace(blocked(), message="\ud83d broken"), created("B")], "run-1")
    assert [e.message for e in journal.events("run-1")] == ["? broken", None]


# -------------------------------------------------------------------------------------------------------- retry queue


def test_a_blocked_order_waits_with_its_first_and_last_failure(journal: Journal, clock: StoppedClock) -> None:
    journal.record([blocked()], "run-1")
    clock.forward(days=1)
    journal.record([blocked(reason="product_not_found")], "run-2")
    entry = only(journal.queue())
    assert (entry.state, entry.attempts, entry.reason) == ("open", 2, "product_not_found")
    assert (entry.first_failed_at, entry.last_failed_at) == (NOW, clock.now)
    assert entry.missing == [{"table": "account", "match": {"accountnumber": "AARONFIT0001"}}]


@pytest.mark.parametrize("outcome", ["created", "updated", "unchanged"])
def test_an_order_that_went_leaves_the_queue(journal: Journal, outcome: str) -> None:
    journal.record([blocked(), blocked("OTHER")], "run-1")
    journal.record([created(outcome=outcome)], "run-2")
    assert only(journal.queue()).key == "OTHER"
    resolved = only(journal.queue(["resolved"]))
    assert (resolved.key, resolved.resolution, resolved.run_id) == ("ORDST2225", "synced", "run-2")


def test_an_order_that_fails_again_after_it_went_begins_anew(journal: Journal, clock: StoppedClock) -> None:
    journal.record([blocked()], "run-1")
    journal.record([created()], "run-2")
    clock.forward(days=3)
    journal.record([blocked()], "run-3")
    entry = only(journal.queue(["open", "resolved"]))
    assert (entry.attempts, entry.first_failed_at, entry.resolution) == (1, clock.now, None)


def test_the_same_order_in_other_case_is_one_entry(journal: Journal) -> None:
    journal.record([blocked("ORD1")], "run-1")
    journal.record([blocked("ord1 ")], "run-2")
    assert only(journal.queue()).attempts == 2
    journal.record([created("Ord1")], "run-3")
    assert journal.queue() == []
    assert journal.known_records("salesorder")["ORD1"].crm_id == GUID


def test_the_last_result_of_an_order_counts(journal: Journal) -> None:
    journal.record([blocked(), created()], "run-1")
    assert journal.queue() == []


@pytest.mark.parametrize("state", ["held", "ignored"])
def test_an_order_set_aside_stays_so_when_it_fails_again(journal: Journal, state: str) -> None:
    journal.record([blocked()], "run-1")
    journal.set_state("salesorder", "ORDST2225", state)  # type: ignore[arg-type]
    journal.record([blocked(reason="uom_not_found")], "run-2")
    entry = only(journal.queue())
    assert (entry.state, entry.reason, entry.attempts) == (state, "uom_not_found", 2)
    assert journal.held_or_ignored("salesorder") == {"ORDST2225": state}
    assert journal.held_or_ignored("salesorder").get("ordst2225 ") == state


def test_an_order_that_never_failed_can_be_held_and_released(journal: Journal) -> None:
    held = journal.set_state("salesorder", "NEW-ORDER", "held")
    assert (held.state, held.attempts, held.reason, held.first_failed_at) == ("held", 0, "held", None)
    assert only(journal.queue()) == held
    released = journal.set_state("salesorder", "new-order", "open")
    assert (released.key, released.state, released.resolution) == ("NEW-ORDER", "resolved", "released")
    assert journal.queue() == []


def test_a_released_order_is_open_again(journal: Journal) -> None:
    journal.record([blocked()], "run-1")
    journal.set_state("salesorder", "ORDST2225", "ignored")
    assert journal.set_state("salesorder", "ORDST2225", "open").state == "open"
    assert journal.held_or_ignored("salesorder") == {}


def test_an_order_that_is_not_queued_cannot_be_released(journal: Journal) -> None:
    with pytest.raises(NotFound, match="NOWHERE"):
        journal.set_state("salesorder", "NOWHERE", "open")


def test_many_records_are_set_aside_and_released_all_or_none(journal: Journal) -> None:
    journal.record([blocked("ONE"), blocked("TWO"), blocked("THREE")], "run-1")
    journal.set_state("salesorder", "BY-HAND", "held")
    every = [("salesorder", "one"), ("salesorder", "TWO"), ("account", "NEW"), ("salesorder", "BY-HAND")]
    held = journal.set_states(every, "held")
    assert [(entry.table, entry.key, entry.state) for entry in held] == [
        ("salesorder", "ONE", "held"),
        ("salesorder", "TWO", "held"),
        ("account", "NEW", "held"),
        ("salesorder", "BY-HAND", "held"),
    ]
    before = journal.queue(None)
    assert {(entry.key, entry.state) for entry in before if entry.attempts} == {
        ("ONE", "held"),
        ("TWO", "held"),
        ("THREE", "open"),
    }
    with pytest.raises(NotFound, match="NOWHERE"):
        journal.set_states([*every, ("salesorder", "NOWHERE")], "open")
    assert journal.queue(None) == before
    released = journal.set_states(every, "open")
    assert [(entry.key, entry.state, entry.resolution) for entry in released] == [
        ("ONE", "open", None),
        ("TWO", "open", None),
        ("NEW", "resolved", "released"),
        ("BY-HAND", "resolved", "released"),
    ]
    assert journal.set_states([], "held") == []


def test_an_order_no_longer_staged_leaves_the_queue(journal: Journal) -> None:
    journal.record([blocked("STAGED"), blocked("GONE"), blocked("HELD"), blocked("IGNORED")], "run-1")
    journal.set_state("salesorder", "HELD", "held")
    journal.set_state("salesorder", "IGNORED", "ignored")
    assert journal.resolve_left_scope("salesorder", ["staged"]) == ["GONE", "HELD"]
    assert {(e.key, e.resolution) for e in journal.queue(["resolved"])} == {
        ("GONE", "left_scope"),
        ("HELD", "left_scope"),
    }
    assert journal.resolve_left_scope("salesorder", []) == ["STAGED"]


def test_an_order_that_crm_has_closed_leaves_the_queue(journal: Journal) -> None:
    journal.record([blocked()], "run-1")
    journal.record([RecordResult("ORDST2225", "salesorder", GUID, "skip", "skipped", "closed_in_crm")], "run-2")
    assert journal.queue() == []


def test_two_tables_with_the_same_key_are_two_entries(journal: Journal) -> None:
    journal.record([blocked("1"), replace(blocked("1"), table="invoice")], "run-1")
    journal.record([created("1")], "run-2")
    assert only(journal.queue()).table == "invoice"


# -------------------------------------------------------------------------------------------------------------- CRM ids


def test_the_crm_id_of_an_order_is_remembered(journal: Journal, clock: StoppedClock) -> None:
    journal.record([created(shared_with="team:1")], "run-1")
    later = clock.forward(days=1)
    journal.record([created(action="update", outcome="updated")], "run-2")
    assert journal.known_records("salesorder")["ORDST2225"] == KnownRecord(
        "ORDST2225", GUID, NOW, later, shared_with="team:1", not_shared_with=None, run_id="run-2"
    )


def test_a_record_that_is_closed_in_crm_is_remembered_as_closed_until_it_is_written_again(journal: Journal) -> None:
    def is_closed() -> bool:
        return journal.known_records("salesorder")["ORDST2225"].is_closed

    skipped = RecordResult("ORDST2225", "salesorder", GUID, "skip", "skipped", "closed_in_crm", is_closed=True)
    journal.record([skipped], "run-1")
    assert not journal.known_records("salesorder"), "the journal never had it"
    journal.record([created()], "run-2")
    assert not is_closed()
    journal.record([skipped], "run-3")
    assert is_closed()
    journal.record([blocked()], "run-4")
    assert is_closed()
    journal.record([created(action="update", outcome="updated")], "run-5")
    assert not is_closed()
    journal.record([created(action="update", outcome="updated", is_closed=True)], "run-6")
    assert is_closed()
    journal.purge(0)
    assert is_closed()


def test_an_unchanged_order_keeps_when_it_was_pushed(journal: Journal, clock: StoppedClock) -> None:
    journal.record([created()], "run-1")
    before = journal.known_records("salesorder")["ORDST2225"]
    clock.forward(days=1)
    journal.record([unchanged()], "run-2")
    assert journal.known_records("salesorder")["ORDST2225"] == before


def test_an_order_that_was_in_crm_before_is_known_without_a_push(journal: Journal) -> None:
    journal.record([unchanged()], "run-1")
    entry = journal.known_records("salesorder")["ORDST2225"]
    assert (entry.crm_id, entry.first_pushed_at, entry.last_pushed_at) == (GUID, None, None)


def test_an_owner_whom_crm_refused_is_remembered_until_another_has_the_order(journal: Journal) -> None:
    journal.record([created(not_shared_with="systemuser:1")], "run-1")
    entry = journal.known_records("salesorder")["ORDST2225"]
    assert (entry.shared_with, entry.not_shared_with) == (None, "systemuser:1")
    journal.record([created(outcome="unchanged", pushed=False)], "run-2")
    assert journal.known_records("salesorder")["ORDST2225"].not_shared_with == "systemuser:1"
    journal.record([created(outcome="updated", shared_with="team:1")], "run-3")
    entry = journal.known_records("salesorder")["ORDST2225"]
    assert (entry.shared_with, entry.not_shared_with) == ("team:1", None)


def test_an_order_created_again_is_not_taken_for_shared(journal: Journal) -> None:
    journal.record([created(shared_with="team:1")], "run-1")
    journal.record([created(crm_id=GUID[:-1] + "2")], "run-2")
    assert journal.known_records("salesorder")["ORDST2225"].shared_with is None


def test_what_a_record_was_found_equal_with_is_kept_until_it_is_anything_else(journal: Journal) -> None:
    def known() -> Equal | None:
        return journal.known_keys("salesorder", ["ordst2225", "other"])["ordst2225"]

    equal = Equal.of("abc", ["B0000000-0000-0000-0000-000000000002", "a0000000-0000-0000-0000-000000000001"])
    assert equal.line_ids == "a0000000000000000000000000000001,b0000000000000000000000000000002"
    for number, ending in enumerate(
        (blocked(), created(action="update", outcome="updated"), replace(unchanged(), warnings=[{"code": "x"}]))
    ):
        journal.record([replace(unchanged(), equal=equal)], f"run-{number}")
        assert known() == equal == journal.known_records("salesorder")["ORDST2225"].equal
        journal.record([ending], f"run-{number}-later")
        assert known() is None


def test_what_is_said_of_a_record_is_kept_until_it_is_anything_else(journal: Journal, warehouse: Warehouse) -> None:
    def said(key: str = "ordst2225") -> object:
        select = journal.known_rows("salesorder")
        assert select is not None
        columns = "match_key, crm_id, digest, line_ids, outcome, reason, warnings"
        return next(
            (row[1:] for row in warehouse.query(f"select {columns} from ({select}) as x") if row[0] == key), None
        )

    equal = Equal.of("abc", ["b"])
    warned = replace(unchanged(), equal=equal, warnings=[{"code": "y"}, {"code": "x"}, {"code": "y"}])
    skipped = RecordResult("AWAY", "salesorder", None, "skip", "skipped", "inactive", equal=Equal.of("def", []))
    journal.record([warned, skipped], "run-1")
    assert said() == (GUID, "abc", "b", "unchanged", None, "x,y")
    assert said("away") == (None, "def", "", "skipped", "inactive", None)
    assert journal.absent_keys("salesorder") == ["AWAY"]
    assert journal.noted_keys("salesorder", {"ordst2225", "away", "other"}) == {"ordst2225", "away"}
    journal.record([created("AWAY", warnings=[{"code": "x"}])], "run-2")
    assert said("away") == (GUID, None, None, "created", None, "x")
    journal.record([replace(unchanged(), equal=equal), replace(unchanged("AWAY"), equal=equal)], "run-3")
    assert said() == said("away") == (GUID, "abc", "b", None, None, None)
    events = [(event.run_id, event.key, event.outcome) for event in journal.events()]
    assert {("run-3", "AWAY", "unchanged"), ("run-3", "ORDST2225", "unchanged")} <= set(events), "it has ended"
    journal.record([replace(unchanged(), equal=equal)], "run-4")
    assert len(journal.events()) == len(events)
    journal.forget_compared("salesorder", {"ordst2225"})
    assert said() == (GUID, None, None, None, None, None)


# ------------------------------------------------------------------------------------------------------------ retention


def test_retention_deletes_old_news_and_keeps_what_is_still_wanted(
    journal: Journal, begin: Begin, clock: StoppedClock
) -> None:
    journal.start(begin("old"))
    journal.record([created("DONE"), blocked("WAITING"), blocked("HELD"), blocked("CAME-LATER")], "old")
    journal.set_state("salesorder", "HELD", "held")
    clock.forward(days=100)
    journal.start(begin("new"))
    journal.record([created("CAME-LATER")], "new")
    purged = journal.purge(90)
    assert (purged.runs, purged.events, purged.queue) == (1, 4, 1)
    assert [run.run_id for run in journal.runs()] == ["new"]
    assert {e.key for e in journal.queue(["open", "held", "resolved"])} == {"WAITING", "HELD"}
    assert set(journal.known_records("salesorder")) == {"DONE", "CAME-LATER"}


# ----------------------------------------------------------------------------------------------------------- as a whole


class PowerCut:
    """A warehouse whose power fails when CRM ids are to be entered."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self.entered: list[str] = []
        """The journal's tables that rows were entered into before that."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._warehouse, name)

    def insert(self, relation: str, *arguments: Any) -> None:
        table = relation.split(".")[-1].strip('"')
        if table == "crm_xref":
            raise RuntimeError("power cut")
        self._warehouse.insert(relation, *arguments)
        self.entered.append(table)


def test_a_transaction_that_fails_leaves_nothing_behind(place: Place, journal: Journal, warehouse: Warehouse) -> None:
    failing = PowerCut(warehouse)
    with pytest.raises(RuntimeError, match="power cut"):
        Journal(cast(Warehouse, failing), place.tables).record([blocked("A"), created("B")], "run-1")
    assert failing.entered == ["sync_event", "retry_queue"]
    assert journal.events() == []
    assert journal.queue() == []
    assert journal.known_records("salesorder") == {}


class Counted:
    """A warehouse that counts its statements; those of `executemany` once for each row."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self.statements = 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._warehouse, name)
        if name not in ("query", "execute", "executemany", "insert"):
            return method

        def counted(*arguments: Any) -> Any:
            self.statements += len(arguments[1]) if name == "executemany" else 1
            return method(*arguments)

        return counted


def test_ten_thousand_results_take_few_statements(place: Place, journal: Journal, warehouse: Warehouse) -> None:
    counted = Counted(warehouse)
    results = [blocked(f"ORD{n:06}") if n % 2 else created(f"ORD{n:06}") for n in range(10_000)]
    Journal(cast(Warehouse, counted), place.tables).record(results, "run-1")
    assert len(journal.queue()) == len(journal.known_records("salesorder")) == 5_000
    assert len(journal.events("run-1")) == 10_000
    assert 0 < counted.statements < 50


STEPS = st.lists(
    st.sampled_from(["blocked", "failed", "created", "unchanged", "skipped", "hold", "ignore", "release", "gone"]),
    max_size=8,
)


@pytest.mark.parametrize("place", ["duckdb"], indirect=True)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_the_queue_follows_its_states(journal: Journal, steps: list[str]) -> None:
    """A model of one order's entry: (state, attempts), or none."""
    key = f"ORD{time.monotonic_ns()}"
    state, attempts = "resolved", 0
    for step in steps:
        if step in ("hold", "ignore"):
            attempts = 0 if state == "resolved" else attempts
            state = {"hold": "held", "ignore": "ignored"}[step]
            journal.set_state("salesorder", key, state)  # type: ignore[arg-type]
        elif step == "release":
            if state == "resolved":
                with pytest.raises(NotFound):
                    journal.set_state("salesorder", key, "open")
            else:
                journal.set_state("salesorder", key, "open")
                state = "resolved" if attempts == 0 else "open"
        elif step == "gone":
            journal.resolve_left_scope("salesorder", [])
            state = "resolved" if state in ("open", "held") else state
        elif step in ("blocked", "failed"):
            journal.record([replace(blocked(key), outcome=step)], "run-1")  # type: ignore[arg-type]
            attempts = 1 if state == "resolved" else attempts + 1
            state = "open" if state == "resolved" else state
        else:
            journal.record([replace(unchanged(key), outcome=step)], "run-1")  # type: ignore[arg-type]
            state = "resolved" if state == "open" else state
        entries = [e for e in journal.queue(["open", "held", "ignored"]) if e.key == key]
        assert [(e.state, e.attempts) for e in entries] == ([] if state == "resolved" else [(state, attempts)])


# ------------------------------------------------------------------------------------------ keys as they are compared


def test_keys_that_an_older_loader_wrote_are_found_as_they_are_compared(
    place: Place, warehouse: Warehouse, clock: StoppedClock
) -> None:
    warehouse.execute(f'create schema "{place.schema}"')
    for table in place.tables.values():
        columns = ", ".join(f"{name} {kind}" for name, kind in table.columns if name != "match_key")
        warehouse.execute(f"create table {table.relation} ({columns})")
    for name in ("retry_queue", "crm_xref", "sync_event"):
        relation = place.tables[name].relation
        warehouse.execute(f"insert into {relation} (crm_table, record_key) values ('salesorder', 'Ord1 ')")
    warehouse.execute(f"update {place.tables['retry_queue'].relation} set state = 'open', attempts = 1")
    journal = Journal(warehouse, place.tables, clock)
    journal.prepare()
    assert [entry.key.rstrip() for entry in journal.queue_of("ORD1")] == ["Ord1"]
    assert [event.key.rstrip() for event in journal.events(key="ord1")] == ["Ord1"]
    assert "ORD1" in journal.known_records("salesorder")


def test_sql_server_finds_a_key_by_its_index(place: Place, warehouse: Warehouse, journal: Journal) -> None:
    if warehouse.dialect == "duckdb":
        assert journal._schema.missing_indexes() == []  # DuckDB needs none
        return
    assert journal._schema.missing_indexes() == []
    warehouse.execute(f"drop index ix_retry_queue on {place.tables['retry_queue'].relation}")
    assert len(journal._schema.missing_indexes()) == 1
    journal.prepare()  # tables that dbt created have none
    assert journal._schema.missing_indexes() == []
