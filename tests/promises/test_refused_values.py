"""A text or a date that CRM refuses does not hold its order back: what goes instead is said, and goes once."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from tests.promises.conftest import NEW, ORDERS, Handful

ORDER = NEW[1]
ODD = "a\x00b\x0bc\x1fd\x7f\x85\ufffe\t\r\n"
PLAIN = "a b c d\x7f\x85 \t\r\n"
"""The same as CRM takes it: what XML allows stays."""


def warned(ended: Any, order: str) -> set[tuple[str, str]]:
    return {(warning["code"], warning["column"]) for warning in ended.result(order)["warnings"]}


def warned_of_lines(ended: Any, order: str) -> set[tuple[str, str]]:
    """Code and column of the warnings about lines; each names the lines' table, the order and a line that is staged."""
    found = [each for each in ended.result(order)["warnings"] if each["line"] is not None]
    assert {(each["table"], each["key"].rstrip()) for each in found} <= {("salesorderdetail", order)}
    assert all(isinstance(each["line"], int) for each in found)
    return {(each["code"], each["column"]) for each in found}


def only(handful: Handful, *orders: str) -> None:
    """Nothing else is staged."""
    for name in set(ORDERS) - set(orders):
        handful.unstage(name)


def test_characters_that_crm_refuses_become_blanks_and_are_named(handful: Handful) -> None:
    only(handful, ORDER)
    handful.execute("update crm_salesorder set description = ?, billto_city = ?", ODD, "Bo\x01ston\x00")
    handful.execute("update crm_salesorderdetail set shipto_name = ?", "\x00\x00")

    planned = handful.loader("plan")
    assert warned(planned, ORDER) >= {("value_cleaned", "description"), ("value_cleaned", "billto_city")}
    (found,) = [warning for warning in planned.result(ORDER)["warnings"] if warning["column"] == "billto_city"]
    assert found["message"] == "2 characters that CRM refuses replaced by blanks: U+0001, U+0000"

    pushed = handful.push()
    assert (pushed.exit_code, pushed.result(ORDER)["outcome"]) == (0, "created")
    assert ("value_cleaned", "shipto_name") in warned_of_lines(pushed, ORDER)
    (held,) = handful.in_crm(ORDER)
    assert (held["description"], held["billto_city"]) == (PLAIN, "Bo ston")
    assert [line.get("shipto_name") for line in held["lines"]] == [None] * len(held["lines"])

    again = handful.push()
    assert (again.exit_code, again.data["requests"]["write"], again.orders["unchanged"]) == (0, 0, 1)


def test_a_text_that_is_cleaned_and_cut_says_both(handful: Handful) -> None:
    only(handful, ORDER)
    handful.execute("update crm_salesorder set billto_postalcode = ?", "\x01" + "9" * 30)
    ended = handful.push()
    assert warned(ended, ORDER) >= {("value_cleaned", "billto_postalcode"), ("value_truncated", "billto_postalcode")}
    (held,) = handful.in_crm(ORDER)
    assert held["billto_postalcode"] == " " + "9" * 19


@pytest.mark.parametrize("name", ["ORD\x0b7", "ORD7\x00\x00", "\x01ORD7", "ORD\ufffe7"])
def test_an_order_whose_number_holds_such_a_character_stays_one_order(handful: Handful, name: str) -> None:
    only(handful, ORDER)
    handful.execute("update crm_salesorder set name = ?, ordernumber = ?", name, name)
    handful.execute("update crm_salesorderdetail set salesorderid = ?", name)
    assert handful.push().orders["created"] == 1
    (held,) = handful.in_crm(name.translate({0: " ", 1: " ", 11: " ", 0xFFFE: " "}).rstrip())
    assert held["lines"]
    again = handful.push()
    assert (again.exit_code, again.data["requests"]["write"], again.orders["unchanged"]) == (0, 0, 1)

    handful.execute("update crm_salesorderdetail set quantity = quantity + 1")
    changed = handful.push()
    assert changed.orders["updated"] == 1, changed.stdout
    assert handful.loader("explain", name).exit_code == 0


def test_two_numbers_that_are_one_in_crm_are_blocked(handful: Handful) -> None:
    only(handful, ORDER)
    handful.stage_copies(ORDER, "ORD\x0b7", "ORD 7")
    ended = handful.push()
    assert ended.orders["blocked"] == 2
    assert ended.result("ORD 7")["reason"] == ended.result("ORD\x0b7")["reason"] == "order_ambiguous"


def test_a_number_of_such_characters_alone_is_no_name(handful: Handful) -> None:
    only(handful, ORDER)
    handful.stage_copies(ORDER, "\x01\x02")
    for _ in range(2):
        ended = handful.push()
        assert ended.result("\x01\x02")["reason"] == "value_out_of_range"
        assert ended.orders["blocked"] == 1
    assert handful.in_crm(ORDER)


def test_look_ups_find_the_row_that_crm_can_hold(handful: Handful) -> None:
    only(handful, ORDER)
    (customer,) = handful.query("select customerid from crm_salesorder")[0]
    handful.execute("update crm_salesorder set customerid = ?", f"{customer}\x00\x0b")
    handful.execute("update crm_salesorderdetail set productid = productid || chr(1)")
    ended = handful.push()
    assert ended.orders["created"] == 1, ended.stdout
    assert handful.push().data["requests"]["write"] == 0


def test_an_organisation_that_takes_such_characters_gets_blanks_too(handful: Handful) -> None:
    handful.crm.readings.refuses_control_characters = False
    only(handful, ORDER)
    handful.execute("update crm_salesorder set description = ?", ODD)
    assert handful.push().orders["created"] == 1
    assert handful.in_crm(ORDER)[0]["description"] == PLAIN
    assert handful.push().data["requests"]["write"] == 0


# ------------------------------------------------------------------------------------------- dates

FIRST, LAST = dt.datetime(1753, 1, 1), dt.datetime(9999, 12, 30, 23, 59, 59)
TOO_EARLY, TOO_LATE = dt.datetime(1752, 12, 31, 23), dt.datetime(9999, 12, 31)


@pytest.mark.parametrize("moment", [TOO_EARLY, TOO_LATE, dt.datetime(9999, 12, 31, 5)])
def test_a_date_that_crm_cannot_hold_is_left_empty_and_named(handful: Handful, moment: dt.datetime) -> None:
    only(handful, ORDER)
    handful.execute("update crm_salesorder set datefulfilled = ?, requestdeliveryby = ?", moment, LAST)
    handful.execute("update crm_salesorderdetail set requestdeliveryby = ?", moment)
    assert ("date_out_of_range", "datefulfilled") in warned(handful.loader("plan"), ORDER)

    ended = handful.push()
    assert (ended.exit_code, ended.orders["created"]) == (0, 1)
    assert ("date_out_of_range", "requestdeliveryby") in warned_of_lines(ended, ORDER)
    (held,) = handful.in_crm(ORDER)
    assert (held.get("datefulfilled"), held["requestdeliveryby"]) == (None, "9999-12-30T23:59:59Z")
    assert {line.get("requestdeliveryby") for line in held["lines"]} == {None}
    again = handful.push()
    assert (again.exit_code, again.data["requests"]["write"]) == (0, 0)


def test_a_date_that_is_no_longer_possible_is_cleared(handful: Handful) -> None:
    only(handful, ORDER)
    handful.execute("update crm_salesorder set datefulfilled = ?", FIRST)
    assert handful.push().orders["created"] == 1
    assert handful.in_crm(ORDER)[0]["datefulfilled"] == "1753-01-01T00:00:00Z"
    handful.execute("update crm_salesorder set datefulfilled = ?", TOO_LATE)
    assert handful.push().orders["updated"] == 1
    assert handful.in_crm(ORDER)[0].get("datefulfilled") is None


def test_dates_of_crm_that_no_staged_date_could_be_are_read(handful: Handful) -> None:
    only(handful, ORDER)
    handful.push()
    order_id = handful.in_crm(ORDER)[0]["salesorderid"]
    handful.crm.update("salesorder", order_id, {"datefulfilled": dt.datetime(9999, 12, 31, 23)})
    assert handful.push().orders["updated"] == 1
