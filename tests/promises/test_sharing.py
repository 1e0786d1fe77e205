"""Each order is shared with the owner of its account: once, and again where that is not so any more."""

from __future__ import annotations

import pytest
import requests

from tests.promises.conftest import GOING, NEW, Handful


def shares(handful: Handful, order: str) -> set[str]:
    """Whom CRM lets read the order."""
    (row,) = handful.in_crm(order)
    given = [each for each in handful.crm.rows("principalobjectaccess") if each["objectid"] == row["salesorderid"]]
    return {each["principalid"] for each in given}


def owner(handful: Handful, order: str) -> str:
    (row,) = handful.in_crm(order)
    account = handful.crm.row("account", row["customerid"]["id"])
    return str(account["ownerid"]["id"])


def delete(handful: Handful, order: str) -> None:
    """Someone deletes the order in CRM; what it was shared with goes with it."""
    (row,) = handful.in_crm(order)
    url = f"{handful.crm.url}/api/data/v9.2/salesorders({row['salesorderid']})"
    answer = requests.delete(url, headers={"Authorization": f"Bearer {handful.crm.token}"}, timeout=10)
    assert answer.status_code == 204
    handful.atomicity.remember()


def test_every_order_is_shared_with_its_accounts_owner(handful: Handful) -> None:
    handful.push()
    assert {order: shares(handful, order) for order in GOING} == {order: {owner(handful, order)} for order in GOING}


@pytest.mark.parametrize("renamed", [False, True])
def test_an_order_that_is_made_again_is_shared_again(handful: Handful, renamed: bool) -> None:
    handful.push("--order", NEW[0])
    if renamed:
        (row,) = handful.in_crm(NEW[0])
        handful.crm.update("salesorder", row["salesorderid"], {"name": "another name"})
    else:
        delete(handful, NEW[0])
    ended = handful.push("--order", NEW[0])
    assert ended.orders["created"] == 1, ended.stdout
    assert shares(handful, NEW[0]) == {owner(handful, NEW[0])}
    again = handful.push("--order", NEW[0])
    assert (again.orders["unchanged"], again.data["requests"]["write"]) == (1, 0)


def test_a_new_owner_gets_it_too_and_the_earlier_one_keeps_it(handful: Handful) -> None:
    handful.push("--order", NEW[0])
    before = owner(handful, NEW[0])
    (order,) = handful.in_crm(NEW[0])
    other = next(row["systemuserid"] for row in handful.crm.rows("systemuser") if row["systemuserid"] != before)
    handful.crm.update("account", order["customerid"]["id"], {"ownerid": {"table": "systemuser", "id": other}})
    ended = handful.push("--order", NEW[0])
    assert ended.orders["updated"] == 1
    assert shares(handful, NEW[0]) == {before, other}
    assert handful.push("--order", NEW[0]).data["requests"]["write"] == 0


def test_a_share_whose_reply_was_lost_is_given(handful: Handful) -> None:
    handful.push("--order", NEW[0])
    handful.execute("update main_journal.crm_xref set shared_with = null")
    handful.crm.faults.reset_before_commit(1, kind="write")
    assert handful.push("--order", NEW[0]).orders["updated"] == 1
    assert shares(handful, NEW[0]) == {owner(handful, NEW[0])}


def test_where_the_journal_was_lost_orders_are_shared_once_more_and_nothing_else(handful: Handful) -> None:
    handful.push()
    before = {order: handful.in_crm(order) for order in GOING}
    handful.execute("delete from main_journal.crm_xref")
    ended = handful.push()
    assert (ended.orders["updated"], ended.orders["created"]) == (len(GOING), 0)
    assert all(row["changes"] == [] for row in ended.data["results"] if row["outcome"] == "updated")
    assert {order: handful.in_crm(order) for order in GOING} == before
    handful.assert_in_sync()
