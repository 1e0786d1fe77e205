"""What status, probe and report say of a run is what it did: of a plan, an undo, one that wrong clocks counted."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from emulator import Emulator
from loader.warehouse.duckdb import DuckDBWarehouse
from sample import organisation
from tests.promises.conftest import CLOSED, IN_CRM, NEW, ORDERS, WITHOUT_PRODUCT, Ended, Handful
from tests.promises.own_parts import losing_its_lock, with_journal, with_warehouse

OTHER_ORGANIZATION = "11111111-2222-4333-8444-555555555555"


def probe(handful: Handful, limit: str = "5%") -> Ended:
    return handful.loader("status", "--max-age", "2h", "--max-blocked", limit)


def writes(handful: Handful) -> int:
    return sum(request.writes for request in handful.crm.requests)


# ------------------------------------------------------------------------------------------------------- plan files


def test_a_plan_of_nothing_does_not_hide_what_waits(handful: Handful, tmp_path: Path) -> None:
    handful.push()
    path = tmp_path / "nothing.plan"
    handful.loader("plan", "--out", str(path))
    assert handful.push(str(path)).orders["created"] == 0
    assert handful.query("select command from main_journal.sync_run order by run_no") == [("push",), ("push FILE",)]
    verdict = probe(handful)
    assert (verdict.exit_code, verdict.data["problems"]) == (1, ["too_many_blocked"])
    assert f"1 of {len(ORDERS)} orders blocked or failed" in verdict.data["message"]
    assert verdict.data["waiting"] == 1
    report = handful.loader("report").data
    assert report["last"]["command"] == "push"
    assert report["waiting"]["records"] == 1


def test_a_plan_of_some_orders_is_no_push_of_all(handful: Handful, tmp_path: Path) -> None:
    path = tmp_path / "one.plan"
    handful.loader("plan", "--out", str(path), "--order", NEW[0])
    handful.push(str(path))
    assert handful.query("select command from main_journal.sync_run") == [("push --order",)]
    assert probe(handful).data["problems"] == ["no_run"]


def test_entries_that_moved_are_refused_and_named_and_wait_for_nothing(handful: Handful, tmp_path: Path) -> None:
    path = tmp_path / "two.plan"
    handful.loader("plan", "--out", str(path), "--order", NEW[0], "--order", NEW[1])
    handful.push(str(path))
    again = handful.push(str(path))
    assert again.exit_code == 3
    assert "2 orders of the plan's 2 orders have moved" in again.error["message"]
    assert {row["key"]: row["reason"] for row in again.data["results"]} == dict.fromkeys(NEW[:2], "plan_stale")
    assert handful.loader("retry", "list").data["queue"] == []
    handful.unstage(WITHOUT_PRODUCT)
    handful.push()
    handful.push(str(path))
    verdict = probe(handful, "0")
    assert verdict.exit_code == 0, verdict.stdout


# ------------------------------------------------------------------------------------------------------------- undo


def undone(handful: Handful) -> Ended:
    flags = [flag for order in (*IN_CRM, NEW[0]) for flag in ("--order", order)]
    run_id = handful.push(*flags).data["run_id"]
    return handful.loader("undo", "--run", run_id, "--yes")


def test_an_undo_is_no_push_that_failed(handful: Handful) -> None:
    handful.loader("push")
    handful.edit(IN_CRM[0])
    handful.edit(IN_CRM[1])
    run_id = handful.loader("push").data["run_id"]
    (row,) = handful.in_crm(IN_CRM[1])
    handful.crm.update("salesorderdetail", row["lines"][0]["salesorderdetailid"], {"quantity": Decimal(99)})
    ended = handful.loader("undo", "--run", run_id, "--yes")
    assert ended.exit_code == 3, ended.stdout[:1000]
    (told, *_) = handful.loader("status").data["runs"]
    assert (told["command"], told["outcome"]) == ("undo", "ok")
    counts = told["counts"]
    assert (counts["staged"], counts["updated"], counts["skipped"], counts["blocked"]) == (2, 1, 1, 0)
    assert "1 refused" in told["message"]
    report = handful.loader("report").data
    assert (report["last"]["command"], report["runs"][0]["blocked"]) == ("push", 0)
    assert probe(handful, "1").exit_code == 0


def test_an_undo_whose_answer_got_lost_is_entered_as_it_is_in_crm(handful: Handful, waits: list[float]) -> None:
    before = [handful.in_crm(order)[0]["description"] for order in IN_CRM]
    handful.crm.faults.reset_after_commit(1, kind="write", skip=1)
    ended = undone(handful)
    outcomes = {row["key"]: row["outcome"] for row in ended.data["records"]}
    assert outcomes == {**dict.fromkeys(IN_CRM, "undone"), NEW[0]: "refused"}
    assert [handful.in_crm(order)[0]["description"] for order in IN_CRM] == before
    assert {entry["state"] for entry in handful.loader("retry", "list").data["queue"]} == {"held"}
    events = handful.query("select count(*) from main_journal.sync_event where message like 'undone: run %'")
    assert events == [(len(IN_CRM),)]


def test_an_undo_that_lost_its_lock_writes_no_more_and_has_an_end(handful: Handful) -> None:
    run_id = handful.push().data["run_id"]
    before = writes(handful)
    losing, calls = losing_its_lock(2)
    with_journal(handful, losing)
    ended = handful.loader("undo", "--run", run_id, "--yes")
    assert (ended.exit_code, ended.error["code"]) == (7, "guard_tripped")
    assert sum(row["outcome"] == "undone" for row in ended.data["records"]) == 1
    assert len(calls) == 2
    assert writes(handful) > before
    (told, *_) = handful.loader("status").data["runs"]
    assert (told["outcome"], told["counts"]["updated"]) == ("error", 1)
    assert "not reached" in told["message"]


# ------------------------------------------------------------------------------------------------------ another CRM


@pytest.fixture
def elsewhere(handful: Handful) -> Any:
    """The same journal, and an organisation of another id at another address."""
    text = json.dumps(organisation.snapshot(), default=str)
    own = organisation.record_id("organization", "Fabrikam")
    with Emulator(snapshot=json.loads(text.replace(own, OTHER_ORGANIZATION))) as crm:
        yield crm


@pytest.mark.parametrize("knows_id", [True, False])
def test_a_journal_belongs_to_one_organisation(handful: Handful, elsewhere: Emulator, knows_id: bool) -> None:
    run_id = handful.push().data["run_id"]
    first = handful.crm.url
    assert handful.query("select crm_organization_id is not null from main_journal.sync_run") == [(True,)]
    if not knows_id:
        handful.execute("update main_journal.sync_run set crm_organization_id = null, run_no = null")
    handful.settings.update(CRM_URL=elsewhere.url, CRM_ACCESS_TOKEN=elsewhere.token)
    for command in (
        ["push"],
        ["push", "--order", NEW[0]],
        ["retry", "now"],
        ["undo", "--run", run_id, "--yes"],
        ["plan"],
    ):
        ended = handful.loader(*command)
        assert (ended.exit_code, ended.error["code"]) == (7, "guard_tripped"), command
        assert first in ended.error["message"]
        assert elsewhere.url in ended.error["message"]
        assert OTHER_ORGANIZATION in ended.error["message"]
    assert [request for request in elsewhere.requests if request.writes] == []
    for name in ("CRM_URL", "CRM_ACCESS_TOKEN"):
        del handful.settings[name]
    assert handful.push().orders["unchanged"] == len(ORDERS) - 2


def test_an_organisation_that_moved_to_another_address_is_the_same(handful: Handful) -> None:
    handful.push()
    handful.execute("update main_journal.sync_run set crm_url = 'https://old.crm.dynamics.com'")
    assert handful.push().exit_code == 3


# --------------------------------------------------------------------------------------------------- nothing staged


def test_nothing_staged_stops_the_run_where_crm_has_open_orders_of_ours(handful: Handful) -> None:
    handful.push()
    queue = handful.query("select record_key, state from main_journal.retry_queue")
    handful.execute("delete from crm_salesorderdetail")
    handful.execute("delete from crm_salesorder")
    ended = handful.loader("push")
    assert (ended.exit_code, ended.error["code"]) == (7, "guard_tripped")
    assert "--allow-empty" in ended.error["remedy"]
    assert handful.query("select record_key, state from main_journal.retry_queue") == queue
    assert probe(handful).data["problems"] == ["ended_badly", "too_many_blocked"]
    allowed = handful.loader("push", "--allow-empty")
    assert (allowed.exit_code, sum(allowed.orders.values())) == (0, 0)
    assert handful.loader("retry", "list").data["queue"] == []


def test_nothing_staged_is_fine_where_crm_has_nothing_open_of_ours(handful: Handful) -> None:
    for order in set(ORDERS) - {CLOSED}:
        handful.unstage(order)
    handful.push()
    handful.unstage(CLOSED)
    assert handful.push().exit_code == 0


# ----------------------------------------------------------------------------------------------------------- clocks


def test_a_clock_that_is_ahead_purges_nothing_and_makes_nothing_well(handful: Handful) -> None:
    handful.push()
    events = handful.query("select count(*) from main_journal.sync_event")
    sources = handful.sources

    class Ahead(DuckDBWarehouse):
        def now(self) -> dt.datetime:
            return super().now() + dt.timedelta(days=3650)

    with_warehouse(handful, Ahead)
    for _ in range(2):
        handful.push()
    handful.release()
    handful.sources = sources
    assert handful.query("select count(*) from main_journal.sync_run") == [(3,)]
    assert handful.query("select count(*) from main_journal.sync_event")[0] >= events[0]
    verdict = probe(handful, "1")
    assert (verdict.exit_code, verdict.data["problems"]) == (1, ["ends_in_future"])
    assert "a clock is wrong" in handful.loader("status", json_output=False).stdout
    handful.push()
    assert probe(handful, "1").exit_code == 0, "the last push is the one that began last, whatever the clocks said"


def test_a_row_that_is_old_by_both_clocks_is_purged(handful: Handful) -> None:
    handful.push()
    handful.execute(
        "update main_journal.sync_run set started_at = started_at - interval 100 day;"
        " update main_journal.sync_event set happened_at = happened_at - interval 100 day"
    )
    handful.push()
    assert handful.query("select count(*) from main_journal.sync_run") == [(1,)]
