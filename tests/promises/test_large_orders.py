"""Orders of many lines: one change set, whether CRM takes more than 50 of them in one insert or not."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from tests.promises.conftest import NEW, ORDERS, Handful
from tests.promises.test_idempotence import MODES
from tests.thorough import some_pairs

ORDER = NEW[1]
LIMITS = {"at most 50 in one insert": 50, "any number in one insert": None}


def stage(handful: Handful, lines: int) -> None:
    """GP has one order with so many lines, and no other order is staged."""
    for name in set(ORDERS) - {ORDER}:
        handful.unstage(name)
    handful.execute(
        "create temp table one_line as select * from crm_salesorderdetail order by lineitemnumber limit 1;"
        " delete from crm_salesorderdetail;"
        " insert into crm_salesorderdetail select one_line.* replace (number * 16384 as lineitemnumber)"
        f" from one_line, range(1, {lines + 1}) as numbers(number)"
    )


def settle(handful: Handful, mode: str, limit: int | None) -> None:
    sop, integration = MODES[mode]
    handful.crm.organization(issopintegrationenabled=sop)
    for user in handful.crm.rows("systemuser"):
        handful.crm.update("systemuser", user["systemuserid"], {"isintegrationuser": integration})
    handful.crm.readings.most_related = limit


def numbers(order: dict[str, Any]) -> list[int]:
    return sorted(line["lineitemnumber"] // 16384 for line in order["lines"])


@pytest.mark.parametrize(("lines", "how"), some_pairs([49, 50, 51, 200], list(product(MODES, LIMITS)), 2))
def test_an_order_of_any_number_of_lines_lands_whole_and_once(
    handful: Handful, lines: int, how: tuple[str, str]
) -> None:
    mode, limit = how
    settle(handful, mode, LIMITS[limit])
    stage(handful, lines)
    handful.watch()
    pushed = handful.push()
    assert (pushed.exit_code, pushed.orders["created"]) == (0, 1), pushed.stdout
    assert pushed.data["lines"]["create"] == lines
    (held,) = handful.in_crm(ORDER)
    assert numbers(held) == list(range(1, lines + 1))
    handful.assert_whole()
    again = handful.push()
    assert (again.exit_code, again.data["requests"]["write"], again.orders["unchanged"]) == (0, 0, 1)


@pytest.mark.parametrize("mode", MODES)
def test_an_order_that_does_not_fit_into_one_change_set_otherwise_goes_in_a_deeper_insert(
    handful: Handful, mode: str
) -> None:
    settle(handful, mode, None)
    stage(handful, 990)
    assert handful.push().orders["created"] == 1
    assert numbers(handful.in_crm(ORDER)[0]) == list(range(1, 991))
    assert handful.push().data["requests"]["write"] == 0


def test_a_line_that_is_refused_outside_the_insert_leaves_nothing(handful: Handful) -> None:
    stage(handful, 60)
    handful.execute("update crm_salesorderdetail set quantity = null where lineitemnumber = 60 * 16384")
    failed = handful.push()
    assert failed.orders["failed"] == 1
    assert handful.in_crm(ORDER) == []
    handful.execute("update crm_salesorderdetail set quantity = 1")
    assert handful.push().orders["created"] == 1
    assert len(handful.in_crm(ORDER)[0]["lines"]) == 60


def test_lines_that_come_later_go_as_rows_of_their_own(handful: Handful) -> None:
    settle(handful, "amounts are GP's", 50)
    stage(handful, 3)
    assert handful.push().orders["created"] == 1
    stage_more = "insert into crm_salesorderdetail select one.* replace (number * 16384 as lineitemnumber) from"
    handful.execute(
        f"{stage_more} (select * from crm_salesorderdetail limit 1) as one, range(4, 121) as numbers(number)"
    )
    assert handful.push().orders["updated"] == 1
    assert numbers(handful.in_crm(ORDER)[0]) == list(range(1, 121))
    assert handful.push().data["requests"]["write"] == 0
