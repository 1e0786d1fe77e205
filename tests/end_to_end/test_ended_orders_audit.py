"""The audit of orders that ended in GP: closed by the loader, left in CRM, or still open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from sample import company, organisation, story
from tests.conftest import Built, Workbench, open_bench, put_tables_for_views

OPEN, TRANSFERRED, VOIDED, DELETED, BY_HAND = "ORDST2225", story.TRANSFERRED, "ORDST2229", "ORDST2230", "ORDST2231"


@pytest.fixture
def pushed(built_whole: Built, tmp_path: Path) -> Iterator[Workbench]:
    """Every integration on; CRM has all that the sample company has."""
    with ExitStack() as stack:
        bench = open_bench(stack, built_whole, tmp_path, snapshot=organisation.empty())
        assert bench.loader("push").exit_code == 3
        yield bench


def statuses(bench: Workbench) -> dict[str, tuple[str, str, str | None]]:
    """By order: its scope, its status, and its status among the records of all tables."""
    rows = bench.query(
        "select o.order_number, o.scope_reason, o.status, r.status from audit_order_status as o"
        " left join audit_record_status as r on r.crm_table = 'salesorder' and r.record_key = o.order_number"
        " where o.order_number in (select unnest(?))",
        [OPEN, TRANSFERRED, VOIDED, DELETED, BY_HAND],
    )
    return {str(number): (str(scope), str(status), status_of) for number, scope, status, status_of in rows}


def test_an_order_that_ended_is_shown_as_the_push_left_it(pushed: Workbench) -> None:
    assert statuses(pushed) == dict.fromkeys(
        (OPEN, TRANSFERRED, VOIDED, DELETED, BY_HAND), ("open", "in_crm", "in_crm")
    )
    (order,) = [row for row in pushed.crm.rows("salesorder") if row["name"] == BY_HAND]
    pushed.crm.update("salesorder", order["salesorderid"], {"statecode": 4, "statuscode": 100003})
    assert pushed.loader("push").exit_code == 3
    warehouse = pushed.warehouse()
    company.transfer_order(warehouse, TRANSFERRED, story.INVOICE)
    warehouse.close()
    for sql, number in (
        ("update gp.SOP10100 set VOIDSTTS = 1 where SOPTYPE = 2 and trim(SOPNUMBE) = ?", VOIDED),
        ("delete from gp.SOP10200 where SOPTYPE = 2 and trim(SOPNUMBE) = ?", DELETED),
        ("delete from gp.SOP10100 where SOPTYPE = 2 and trim(SOPNUMBE) = ?", DELETED),
        ("delete from gp.SOP10200 where SOPTYPE = 2 and trim(SOPNUMBE) = ?", BY_HAND),
        ("delete from gp.SOP10100 where SOPTYPE = 2 and trim(SOPNUMBE) = ?", BY_HAND),
    ):
        pushed.execute(sql, number)
    put_tables_for_views(pushed.path)
    assert {number: each[1:] for number, each in statuses(pushed).items() if number in (TRANSFERRED, VOIDED)} == {
        TRANSFERRED: ("left_in_crm", "not_closed_yet"),
        VOIDED: ("left_in_crm", "not_closed_yet"),
    }

    assert pushed.loader("push").exit_code == 3
    ended = {
        OPEN: ("open", "in_crm", "in_crm"),
        TRANSFERRED: ("transferred", "closed", "closed"),
        VOIDED: ("voided", "closed", "closed"),
        DELETED: ("deleted_in_gp", "left_in_crm", "left_in_crm"),
        BY_HAND: ("deleted_in_gp", "closed", "closed"),
    }
    assert statuses(pushed) == ended
    assert [row[0] for row in pushed.query("select record_key from audit_unstaged where crm_table = 'salesorder'")] == [
        DELETED
    ]

    assert pushed.loader("push").exit_code == 3
    pushed.execute("delete from main_journal.sync_event")
    assert statuses(pushed) == ended, "retention deletes events, not what was closed"


def test_an_order_that_ended_and_was_closed_by_hand_is_closed(pushed: Workbench) -> None:
    """No push saw it open after it had ended, and none closed it."""
    warehouse = pushed.warehouse()
    company.transfer_order(warehouse, TRANSFERRED, story.INVOICE)
    warehouse.close()
    (order,) = [row for row in pushed.crm.rows("salesorder") if row["name"] == TRANSFERRED]
    pushed.crm.update("salesorder", order["salesorderid"], {"statecode": 4, "statuscode": 100003})
    assert statuses(pushed)[TRANSFERRED] == ("transferred", "left_in_crm", "not_closed_yet")
    assert pushed.loader("push").exit_code == 3
    assert statuses(pushed)[TRANSFERRED] == ("transferred", "closed", "closed")
    assert "not_closed_yet" not in {status for _, _, status in statuses(pushed).values()}
